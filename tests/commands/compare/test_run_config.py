"""What a run changes in the bundle's configs has the effect that it says."""

from __future__ import annotations

import copy
import json

import pytest
from monai.bundle import ConfigParser

from dwskd_monai.commands.compare.methods import Method, read_methods
from dwskd_monai.commands.compare.run_config import run_config, write_run_config
from tests.conftest import BUNDLE

OVERRIDES = {
    "network_def#dims": (8, 16, 24, 32),
    "seed": 7,
    "learning_rate": 1e-9,
    "memory_format": "$torch.channels_last",
}
NEEDED = {"needed_weights": "/runs/teacher.pt", "auxiliary_def#dims": [16, 32, 48, 64]}
METHODS = {
    **read_methods(),
    "wide": Method("wide", "a network that its copy for the auxiliary must not follow", {"network_def#dims": [1, 2]}),
    "needing": Method("needing", "", {**read_methods()["selection_kd"].overrides, **NEEDED}),
}


def resolved(config: ConfigParser) -> dict:
    """All that a config says once its macros are copied, with lists for tuples."""
    config.read_meta(BUNDLE / "configs" / "metadata.json")
    config.resolve_macro_and_relative_ids()
    return json.loads(json.dumps(config.get()))


TRAININGS = [(name, ()) for name, method in METHODS.items() if method.trains]
EVALUATIONS = [(name, ("evaluate.yaml",)) for name in METHODS]


@pytest.mark.parametrize(("name", "overlays"), [*TRAININGS, *EVALUATIONS])
def test_the_grids_overrides_hold_for_copies_too_and_a_methods_for_what_it_names(tmp_path, name, overlays):
    method = METHODS[name]
    files = [BUNDLE / "configs" / file for file in (*method.configs, *overlays)]
    expected = ConfigParser()
    expected.read_config(files)
    expected.update(pairs=copy.deepcopy(OVERRIDES))
    expected.resolve_macro_and_relative_ids()
    expected.update(pairs=copy.deepcopy(dict(method.overrides)))
    content = run_config(files, OVERRIDES, method.overrides, {})
    got = ConfigParser()
    got.read_config([*files, write_run_config(tmp_path / "run.yaml", content)])
    assert resolved(got) == resolved(expected)


def test_what_is_added_comes_after_what_a_list_has(tmp_path):
    files = [BUNDLE / "configs" / "train.yaml"]
    handler = {"_target_": "dwskd_monai.commands.compare.TrainingRecord", "path": "x.json"}
    before = ConfigParser.load_config_files(files)["train"]["handlers"]
    content = run_config(files, {}, {}, {"train#handlers": [handler]})
    after = ConfigParser.load_config_files([*files, write_run_config(tmp_path / "run.yaml", content)])
    assert after["train"]["handlers"] == [*before, handler]
