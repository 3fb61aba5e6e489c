from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dwskd_monai.commands.compare.methods import read_methods
from dwskd_monai.commands.compare.runs import Run
from dwskd_monai.commands.compare.setting import Setting, places_of_unlabeled, refuse_other_settings
from tests.conftest import BUNDLE

METHODS = read_methods()
SELECTION = METHODS["selection"]


def make_setting(**changes) -> Setting:
    return Setting(**({"bundle": BUNDLE, "dataset_dir": Path("/data"), "out": Path("/out")} | changes))


def test_a_run_changes_what_it_is():
    setting = make_setting(folds=3, overrides={"batch_size": 4, "max_epochs@0.1": 9, "max_epochs@1.0": 2})
    overrides = setting.overrides_of(Run(SELECTION, 0.1, 2, 7, learning_rate=0.01))
    assert overrides == {
        "batch_size": 4, "max_epochs": 9, "seed": 7, "fold": 2, "folds": 3, "train_fraction": 0.1,
        "learning_rate": 0.01, "dataset_dir": "/data",
    }  # fmt: skip


def test_what_is_given_for_a_fraction_comes_before_what_is_given_for_all_in_any_order():
    setting = make_setting(overrides={"max_epochs@0.1": 9, "max_epochs": 2})
    assert setting.overrides_of(Run(SELECTION, 0.1, 0, 0))["max_epochs"] == 9
    assert setting.overrides_of(Run(SELECTION, 1.0, 0, 0))["max_epochs"] == 2


def test_only_methods_that_learn_from_unlabeled_images_are_given_them_and_never_test_images():
    setting = make_setting(overrides={"unlabeled_dir": "/more"}, test_dir=Path("/test"))
    assert setting.overrides_of(Run(METHODS["soft_labels"], 1.0, 0, 0)) == {
        "unlabeled_dir": "/more", "held_out_dir": "/test", "seed": 0, "fold": 0, "train_fraction": 1.0,
        "dataset_dir": "/data",
    }  # fmt: skip
    both = make_setting(overrides={"unlabeled_dir": "/more", "held_out_dir": "/other"}, test_dir=Path("/test"))
    with pytest.raises(ValueError, match="held_out_dir: the images of test_dir are held out already"):
        both.overrides_of(Run(METHODS["soft_labels"], 1.0, 0, 0))
    for name in ("selection", "dws_skd_mutual", "teacher"):
        assert not {"unlabeled_dir", "held_out_dir"} & setting.overrides_of(Run(METHODS[name], 1.0, 0, 0)).keys()


def test_without_folds_the_configs_split_stays():
    assert "folds" not in make_setting().overrides_of(Run(SELECTION, 1.0, 0, 0))


def test_the_demo_is_applied_after_the_methods_configs():
    names = [path.name for path in make_setting(demo=True).configs(METHODS["teacher"], "evaluate.yaml")]
    assert names == ["train.yaml", "train_teacher.yaml", "demo.yaml", "evaluate.yaml"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"overrides": {"batch_size": 8}}, "batch_size was 4, now it is 8"),
        ({"overrides": {"batch_size": 4, "amp": True}}, "amp was nothing, now it is True"),
        ({"overrides": {}}, "batch_size was 4, now it is nothing"),
        ({"data_hash": "new"}, "data was old, now it is new"),
        ({"test_hash": "other"}, "test was , now it is other"),
        ({"demo": True}, "demo.yaml was nothing, now it is [0-9a-f]{16}"),
    ],
)
def test_a_run_with_other_settings_is_not_taken(tmp_path, changes, message):
    setting = make_setting(overrides={"batch_size": 4}, data_hash="old")
    run = Run(SELECTION, 1.0, 0, 0)
    (tmp_path / "settings.json").write_text(json.dumps(setting.identity(run)))
    (tmp_path / "result.json").touch()
    refuse_other_settings(tmp_path, setting.identity(run))
    with pytest.raises(ValueError, match=message):
        refuse_other_settings(tmp_path, replace(setting, **changes).identity(run))


def test_other_images_without_labels_are_noticed_by_the_methods_that_learn_from_them(tmp_path):
    runs = [Run(METHODS[name], 1.0, 0, 0) for name in ("teacher_soft_labels", "selection")]
    old, new = (make_setting(unlabeled_hashes={1.0: digest}) for digest in ("old", "new"))
    for run in runs:
        (tmp_path / run.method.name).mkdir()
        (tmp_path / run.method.name / "settings.json").write_text(json.dumps(old.identity(run)))
        (tmp_path / run.method.name / "result.json").touch()
    with pytest.raises(ValueError, match="unlabeled was old, now it is new"):
        refuse_other_settings(tmp_path / "teacher_soft_labels", new.identity(runs[0]))
    refuse_other_settings(tmp_path / "selection", new.identity(runs[1]))


def test_images_without_labels_are_those_of_the_fraction():
    given = {"unlabeled_dir": "/all", "unlabeled_dir@0.25": "/more", "held_out_dir@0.1": "/tests", "max_epochs@0.1": 9}
    assert places_of_unlabeled(given, 1.0) == [("unlabeled_dir", Path("/all"))]
    assert places_of_unlabeled(given, 0.25) == [("unlabeled_dir", Path("/more"))]
    assert places_of_unlabeled(given, 0.1) == [("held_out_dir", Path("/tests")), ("unlabeled_dir", Path("/all"))]
    setting = make_setting(unlabeled_hashes={1.0: "all", 0.25: "more"})
    of_fractions = [setting.identity(Run(METHODS["soft_labels"], of, 0, 0))["unlabeled"] for of in (1.0, 0.25, 0.1)]
    assert of_fractions == ["all", "more", ""]


def test_what_decides_is_the_content_of_files_and_not_where_they_are(tmp_path):
    run = Run(METHODS["teacher_soft_labels"], 1.0, 0, 0)

    def identity(place: str, weights: bytes) -> dict[str, Any]:
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "teacher.pt").write_bytes(weights)
        folders = {name: str(tmp_path / place / name) for name in ("unlabeled_dir", "held_out_dir", "cache_dir")}
        overrides = folders | {"teacher_weights@1.0": str(tmp_path / place / "teacher.pt"), "batch_size": 4}
        return make_setting(overrides=overrides, unlabeled_hashes={1.0: "images"}).identity(run)

    assert identity("here", b"one") == identity("there", b"one")
    assert identity("here", b"one") != identity("here", b"another")
    assert identity("here", b"one")["overrides"]["batch_size"] == 4


def test_a_config_that_was_edited_is_noticed(tmp_path):
    shutil.copytree(BUNDLE / "configs", tmp_path / "bundle" / "configs")
    setting = make_setting(bundle=tmp_path / "bundle")
    run = Run(SELECTION, 1.0, 0, 0)
    (tmp_path / "settings.json").write_text(json.dumps(setting.identity(run)))
    (tmp_path / "result.json").touch()
    with (tmp_path / "bundle" / "configs" / "train.yaml").open("a") as config:
        config.write("# edited\n")
    with pytest.raises(ValueError, match="train.yaml was [0-9a-f]{16}, now it is"):
        refuse_other_settings(tmp_path, setting.identity(run))


def test_a_run_that_left_nothing_may_be_begun_anew(tmp_path):
    run = Run(SELECTION, 1.0, 0, 0)
    (tmp_path / "settings.json").write_text(json.dumps(make_setting(data_hash="old").identity(run)))
    refuse_other_settings(tmp_path, make_setting(data_hash="new").identity(run))
    (tmp_path / "training_state.pt").touch()
    with pytest.raises(ValueError, match="give another --out, or remove this folder"):
        refuse_other_settings(tmp_path, make_setting(data_hash="new").identity(run))
