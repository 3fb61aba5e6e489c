from __future__ import annotations

import json
import re

import pytest
import yaml
from monai.bundle import ConfigParser

from dwskd_monai.bundle import Bundle
from dwskd_monai.commands.pack.configs import packed_configs
from tests.conftest import BUNDLE, BUNDLES

each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)


def parsed(text: str) -> ConfigParser:
    parser = ConfigParser({})
    for key, value in yaml.safe_load(text).items():
        parser[key] = value
    return parser


@each_bundle
def test_each_config_is_there_as_yaml_and_as_json(bundle):
    files = packed_configs(Bundle(bundle))
    names = {path.stem for path in (bundle / "configs").glob("*.yaml")}
    assert set(files) == {f"configs/{name}.{suffix}" for name in names for suffix in ("yaml", "json")}
    for name in names:
        assert json.loads(files[f"configs/{name}.json"]) == yaml.safe_load(files[f"configs/{name}.yaml"])


@each_bundle
def test_inference_and_the_network_need_no_package_of_ours(bundle):
    files = packed_configs(Bundle(bundle))
    inference = files["configs/inference.json"]
    assert "dwskd_monai." not in inference
    assert '"scripts.preprocessing.LoadSlicesd"' in inference
    assert ConfigParser(json.loads(inference))["dataset_dir"] == "$@bundle_root + '/sample'"
    train = ConfigParser(json.loads(files["configs/train.json"]))
    assert "dwskd_monai" not in json.dumps([train["initialize"], train["network_def"]]), "monai.bundle.load needs these"
    assert "training needs dwskd_monai" in train["run"][0]


def test_without_overrides_nothing_else_changes():
    files = packed_configs(Bundle(BUNDLE))
    for name in ("train", "inference", "evaluate", "demo"):
        before = (BUNDLE / "configs" / f"{name}.yaml").read_text().splitlines()
        after = files[f"configs/{name}.yaml"].splitlines()
        changed = [line for line in after if line not in before]
        allowed = {"train": "optional_import", "inference": "scripts.", "evaluate": None, "demo": None}[name]
        assert all(allowed and (allowed in line or line.startswith("dataset_dir: ")) for line in changed), changed
        assert len(after) == len(before)


def test_overrides_are_set_where_they_belong_and_comments_stay():
    given = {"student": "convnext_atto", "learning_rate": 0.01, "network_def#dims": [8, 16], "cache_dir": None}
    files = packed_configs(Bundle(BUNDLE, given))
    train, inference = (parsed(files[f"configs/{name}.yaml"]) for name in ("train", "inference"))
    for key, value in given.items():
        assert train[key] == value
    assert inference["student"] == "convnext_atto"
    assert inference["network_def#dims"] == [8, 16]
    assert "learning_rate" not in inference
    line = next(line for line in files["configs/train.yaml"].splitlines() if line.startswith("student:"))
    assert re.fullmatch('student: "convnext_atto" +# timm name of the deployed network; .*', line)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"intensity": 3}, "intensity: its value in the config has several lines, give the keys below it: intensity#"),
    ],
)
def test_an_override_that_cannot_be_set_is_named(override, message):
    with pytest.raises(ValueError, match=message):
        packed_configs(Bundle(BUNDLE, override))
