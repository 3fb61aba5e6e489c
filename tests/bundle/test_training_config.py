"""Which settings of a training are recorded, to be repeated."""

from __future__ import annotations

import pytest

from dwskd_monai.bundle.training_config import (
    changed_settings,
    not_recorded,
    same_setting,
    without_places,
)
from tests.conftest import BUNDLE


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder in which things are named as settings are."""
    (tmp_path / "both").mkdir()
    (tmp_path / "youden").touch()
    (tmp_path / "weights.pt").touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("deploy", "both"),
        ("operating_point", "youden"),
        ("student", "convnext_atto.d2_in1k"),
        ("teacher_weights", "random"),
        ("teacher", "hf-hub:timm/convnext_tiny.in12k_ft_in1k"),
        ("memory_format", "$torch.channels_last"),
        ("layers", {"first": [0, 1]}),
    ],
)
def test_a_word_is_no_path_whatever_lies_in_the_folder_of_the_command(key, value):
    assert without_places({key: value}) == {key: value}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auxiliary_def#checkpoint_path", "weights.pt"),
        ("teacher_weights", "teacher.ckpt"),
        ("teacher_weights", "/models/teacher"),
        ("own", {"files": ["models/teacher.pt"]}),
        ("server", "http://127.0.0.1/studies"),
        ("cache_dir", "cache"),
    ],
)
def test_what_lies_on_this_machine_is_left_out(key, value):
    assert without_places({key: value}) == {}


def test_one_epoch_is_something_else_than_a_share_of_all():
    assert not same_setting("distillation_epochs", 1, 1.0)
    assert not same_setting("label_epochs", 1.0, 1)
    assert same_setting("label_epochs", 0.5, 0.5)
    assert same_setting("learning_rate", 1, 1.0)
    assert changed_settings({"distillation_epochs": 1}, BUNDLE) == {"distillation_epochs": 1}
    assert changed_settings({"distillation_epochs": 1.0}, BUNDLE) == {}


def test_what_is_left_out_for_a_path_in_it_is_named():
    changed = {
        "train#random_transforms": [{"_target_": "Lookup", "file": "/data/table.npy"}],
        "own_transforms": [{"_target_": "RandFlipd", "_desc_": "left/right"}],
        "unlabeled_dir": "/data/more",
        "teacher_weights": "/data/teacher.pt",
        "train#dataset#cache_dir": "/fast/cache",
        "refused#path": "/results/refused.csv",
    }
    assert without_places(changed) == {"own_transforms": changed["own_transforms"]}
    assert not_recorded(changed) == ["train#random_transforms"]
