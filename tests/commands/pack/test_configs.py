from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from monai.bundle import ConfigParser

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.settings_file import read_settings
from dwskd_monai.bundle.training_config import digest_of_training
from dwskd_monai.commands.pack.configs import packed_configs
from tests.bundles.commands import save_network
from tests.conftest import BUNDLE, BUNDLES

TINY = {"student": "mobilenetv3_small_050"}

each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)


def parsed(text: str) -> ConfigParser:
    parser = ConfigParser({})
    for key, value in yaml.safe_load(text).items():
        parser[key] = value
    return parser


def transform(config: ConfigParser, name: str) -> Any:
    return next(one for one in config["study_transforms"] if one == name)


def packed(bundle: Path, trained_with: dict[str, Any], folder: Path, **overrides: Any) -> dict[str, str]:
    """The configs of a bundle that was trained with some settings."""
    given = Bundle(bundle, trained_with)
    network = given.config("train").get_parsed_content("network_def")
    models = save_network(network, folder / "models", bundle, **trained_with)
    return packed_configs(Bundle(bundle, overrides), read_settings(models / "model.pt"))


@pytest.mark.slow
@each_bundle
def test_each_config_is_there_as_yaml_and_as_json(bundle, tmp_path):
    files = packed(bundle, TINY, tmp_path)
    names = {path.stem for path in (bundle / "configs").glob("*.yaml")}
    assert set(files) == {f"configs/{name}.{suffix}" for name in names for suffix in ("yaml", "json")}
    for name in names:
        assert json.loads(files[f"configs/{name}.json"]) == yaml.safe_load(files[f"configs/{name}.yaml"])


@pytest.mark.slow
@each_bundle
def test_inference_and_the_network_need_no_package_of_ours(bundle, tmp_path):
    files = packed(bundle, TINY, tmp_path)
    inference = files["configs/inference.json"]
    assert "dwskd_monai." not in inference
    assert '"scripts.bundle.trained_transforms"' in inference
    assert ConfigParser(json.loads(inference))["dataset_dir"] == "$@bundle_root + '/sample'"
    train = ConfigParser(json.loads(files["configs/train.json"]))
    assert "dwskd_monai" not in json.dumps([train["initialize"], train["network_def"]]), "monai.bundle.load needs these"
    assert "training needs dwskd_monai" in train["run"][0]


@pytest.mark.slow
def test_nothing_else_changes(tmp_path):
    files = packed(BUNDLE, TINY, tmp_path)
    for name, allowed in {
        "train": (
            "dataset_dir: ",
            "optional_import",
            "student: ",
            "drop_path_rate: 0.0",
            "img_size: ",
            "required: false",
        ),
        "evaluate": (),
        "demo": (),
    }.items():
        before = (BUNDLE / "configs" / f"{name}.yaml").read_text().splitlines()
        after = files[f"configs/{name}.yaml"].splitlines()
        changed = [line for line in after if line not in before]
        assert len(changed) == len(allowed), changed
        assert all(any(word in line for word in allowed) for line in changed), changed
        assert len(after) == len(before) + (name == "train"), "a line that says which package is needed"


@pytest.mark.slow
def test_what_was_trained_with_is_set_where_it_belongs_and_comments_stay(tmp_path):
    trained_with = {"student": "convnext_atto", "network_def#dims": [8, 16, 24, 32], "image_size": 64}
    given = {"learning_rate": 0.01, "cache_dir": None, "num_workers": 0}
    files = packed(BUNDLE, trained_with, tmp_path, **given)
    train, inference = (parsed(files[f"configs/{name}.yaml"]) for name in ("train", "inference"))
    for key, value in {**trained_with, **given}.items():
        assert train[key] == value
    assert inference["network_def#model_name"] == "convnext_atto"
    assert inference["network_def#dims"] == [8, 16, 24, 32]
    assert inference["study_transforms"]["_target_"] == "scripts.bundle.trained_transforms"
    assert inference["num_workers"] == 0
    assert "learning_rate" not in inference
    line = next(line for line in files["configs/train.yaml"].splitlines() if line.startswith("student:"))
    assert re.fullmatch("student: convnext_atto +# timm name of the deployed network; .*", line)


@pytest.mark.slow
def test_where_files_lie_here_is_not_packed(tmp_path):
    files = packed(BUNDLE, TINY, tmp_path, ckpt_dir=str(tmp_path / "models"), dataset_dir="/data/mine")
    assert not [name for name, text in files.items() if str(tmp_path) in text or "/data/mine" in text]


@pytest.mark.slow
@pytest.mark.parametrize("value", [5e-05, 1e-12, 2.0, "on", "12:30", "1e3", "auto", True, ["no", 1e-6]], ids=str)
def test_yaml_and_json_give_the_value_back(tmp_path, value):
    files = packed(BUNDLE, TINY, tmp_path, operating_point=value)
    for name, read in (("configs/train.yaml", yaml.safe_load), ("configs/train.json", json.loads)):
        found = read(files[name])["operating_point"]
        assert found == value
        assert type(found) is type(value)


@pytest.mark.slow
def test_a_config_that_was_edited_after_the_training_is_not_packed(tmp_path):
    bundle = Path(shutil.copytree(BUNDLE, tmp_path / BUNDLE.name, ignore=shutil.ignore_patterns("models", "cache")))
    network = Bundle(bundle, TINY).config("train").get_parsed_content("network_def")
    models = save_network(network, tmp_path / "models", bundle, **TINY)
    settings = read_settings(models / "model.pt")
    settings.origin["settings_sha256"] = digest_of_training(settings.origin["overrides"], bundle, settings)
    packed_configs(Bundle(bundle), settings)
    train = bundle / "configs" / "train.yaml"
    train.write_text(train.read_text().replace("learning_rate: 0.0005", "learning_rate: 0.05"))
    with pytest.raises(ValueError, match=r"train.yaml: its settings are not those of the training, which the packed"):
        packed_configs(Bundle(bundle), settings)


@pytest.mark.slow
def test_a_transform_of_the_training_travels(tmp_path):
    """What no setting of the config says, such as an argument of one of its parts."""
    files = packed(BUNDLE, TINY | {"intensity#lower": 2}, tmp_path)
    assert parsed(files["configs/train.yaml"])["intensity#lower"] == 2
    assert transform(parsed(files["configs/train.yaml"]), "@intensity") == "@intensity", "still taken from its setting"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("studies", "auxiliary", "max_epochs", "learned_from"),
    [
        ("studies", "auto", 2, True),
        ("studies", "own_soft_labels", 2, True),
        ("studies", "auto", 1, False),
        ("studies", "none", 2, False),
        ("http://127.0.0.1/dicom-web", "auto", 2, False),
        (None, "auto", 2, False),
    ],
)
def test_a_training_in_monai_labels_server_learns_from_its_studies_if_it_can(
    tmp_path, monkeypatch, caplog, studies, auxiliary, max_epochs, learned_from
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    monkeypatch.delenv("MONAI_LABEL_STUDIES", raising=False)
    if studies is not None:
        monkeypatch.setenv("MONAI_LABEL_STUDIES", studies)
    train = parsed(packed(BUNDLE, TINY, tmp_path)["configs/train.json"])
    assert train["unlabeled_dir"] is None
    train["unlabeled_dir"] = "@monai_label_studies"
    train["auxiliary"], train["train#trainer#max_epochs"] = auxiliary, max_epochs
    assert train.get_parsed_content("unlabeled_dir") == ("studies" if learned_from else None)
    by_itself = "teacher_soft_labels" if learned_from else "mutual"
    expected = by_itself if auxiliary == "auto" else auxiliary
    assert train.get_parsed_content("chosen_auxiliary") == expected
    assert train["train#unlabeled#required"] is False
    assert ("are in no folder, so none is learned from" in caplog.text) == str(studies).startswith("http")


@pytest.mark.slow
def test_studies_of_the_server_are_packed_as_what_to_learn_from_and_folders_of_this_machine_refused(tmp_path):
    files = packed(BUNDLE, TINY, tmp_path / "a", unlabeled_dir="@monai_label_studies")
    assert parsed(files["configs/train.json"])["unlabeled_dir"] == "@monai_label_studies"
    for key in ("unlabeled_dir", "held_out_dir"):
        with pytest.raises(ValueError, match=f"{key}: /data/mine may not be there where the packed bundle is trained"):
            packed(BUNDLE, TINY, tmp_path / key, **{key: "/data/mine"})


@pytest.mark.slow
def test_another_folder_without_labels_stays_as_it_is(tmp_path):
    train = parsed(packed(BUNDLE, TINY, tmp_path)["configs/train.json"])
    train["unlabeled_dir"] = "mine"
    assert train.get_parsed_content("unlabeled_dir") == "mine"
