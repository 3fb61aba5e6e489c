"""Runs whose results stand in one table must have been made with the same settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dwskd_monai.commands.compare.grid import run_grid
from dwskd_monai.commands.compare.methods import read_methods
from dwskd_monai.commands.compare.runs import Run
from dwskd_monai.commands.compare.setting import Setting
from tests.conftest import BUNDLE

METHODS = read_methods()


def setting(out: Path, **changes: Any) -> Setting:
    return Setting(**({"bundle": BUNDLE, "dataset_dir": Path("/data"), "out": out} | changes))


def finish(run: Run, made_with: Setting) -> Run:
    """Leave what a finished run leaves."""
    folder = made_with.out / run.folder
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(json.dumps(made_with.identity(run)))
    cell = {"method": run.method.name, "fraction": run.fraction, "fold": run.fold, "seed": run.seed}
    (folder / "result.json").write_text(json.dumps(cell))
    return run


@pytest.mark.parametrize("method", ["selection", "dws_skd_mutual"], ids=["another seed", "another method"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"overrides": {"max_epochs": 100}}, "max_epochs was 5, now it is 100"),
        ({"folds": 5}, "folds was nothing, now it is 5"),
        ({"data_hash": "new"}, "data was , now it is new"),
        ({"overrides": {"max_epochs": 5, "learning_rate": 0.1}}, "learning_rate was nothing, now it is 0.1"),
    ],
    ids=str,
)
def test_other_settings_are_refused_although_no_run_is_repeated(tmp_path, method, changes, message):
    finish(Run(METHODS["selection"], 1.0, 0, 0), setting(tmp_path, overrides={"max_epochs": 5}))
    done = finish(Run(METHODS[method], 1.0, 0, 1), setting(tmp_path, **{"overrides": {"max_epochs": 5}} | changes))
    with pytest.raises(ValueError, match=message):
        run_grid([done], setting(tmp_path, **{"overrides": {"max_epochs": 5}} | changes), METHODS)


def test_another_learning_rate_is_noticed_although_the_method_is_not_run(tmp_path):
    before, now = (setting(tmp_path, overrides={"learning_rate": rate}) for rate in (0.001, 0.0005))
    finish(Run(METHODS["scratch"], 1.0, 0, 0), before)
    with pytest.raises(ValueError, match=r"learning_rate was 0.001, now it is 0.0005"):
        run_grid([finish(Run(METHODS["selection"], 1.0, 0, 0), now)], now, METHODS)


def test_seeds_methods_fractions_and_chosen_rates_extend_a_table(tmp_path):
    shared = {"max_epochs": 5, "max_epochs@0.1": 60}
    first = setting(tmp_path, overrides=shared, unlabeled_hashes={1.0: "images"})
    finish(Run(METHODS["selection"], 1.0, 0, 0, learning_rate=0.002), first)
    (tmp_path / "tuning" / "selection").mkdir(parents=True)
    finish(Run(METHODS["selection"], 0.1, 0, 0), first)
    finish(Run(METHODS["soft_labels"], 1.0, 0, 0), first)
    second = setting(tmp_path, overrides={"max_epochs": 5})
    added = [finish(Run(METHODS["dws_skd_mutual"], 1.0, 0, seed), second) for seed in (0, 1)]
    assert run_grid(added, second, METHODS) == (added, {})
