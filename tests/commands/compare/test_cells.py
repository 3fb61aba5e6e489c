from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dwskd_monai.commands.compare.cells import Cell, Setting, measured_cells, refuse_other_settings
from dwskd_monai.commands.compare.methods import read_methods
from dwskd_monai.commands.compare.tuning import TUNING_SEED, best_rates, tuning_cells
from tests.conftest import BUNDLE

METHODS = read_methods()
SELECTION, TEACHER, PROBE = METHODS["selection"], METHODS["teacher"], METHODS["probe_knn"]


def make_setting(**changes) -> Setting:
    return Setting(**({"bundle": BUNDLE, "dataset_dir": Path("/data"), "out": Path("/out")} | changes))


def test_a_grid_has_each_combination_once_and_whole_pairs_first():
    cells = measured_cells([SELECTION, TEACHER], [1.0, 0.1], range(2), [0, 5])
    assert len(set(cells)) == len(cells) == 2 * 2 * 2 * 2
    assert [cell.method.name for cell in cells[:2]] == ["selection", "teacher"]
    assert [cell.seed for cell in cells] == [0] * 8 + [5] * 8
    assert len({cell.folder for cell in cells}) == len(cells)


def test_a_cell_changes_what_it_is():
    setting = make_setting(folds=3, overrides={"batch_size": 4, "max_epochs@0.1": 9, "max_epochs@1.0": 2})
    found = setting.overrides_of(Cell(SELECTION, 0.1, 2, 7, learning_rate=0.01))
    assert found == {
        "batch_size": 4, "max_epochs": 9, "seed": 7, "fold": 2, "folds": 3, "train_fraction": 0.1,
        "learning_rate": 0.01, "dataset_dir": "/data",
    }  # fmt: skip


def test_without_folds_the_configs_split_stays():
    assert "folds" not in make_setting().overrides_of(Cell(SELECTION, 1.0, 0, 0))


def test_the_demo_is_applied_after_the_methods_configs():
    names = [Path(path).name for path in make_setting(demo=True).configs(TEACHER, "evaluate.yaml")]
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
    cell = Cell(SELECTION, 1.0, 0, 0)
    (tmp_path / "settings.json").write_text(json.dumps(setting.identity(cell)))
    (tmp_path / "result.json").touch()
    refuse_other_settings(tmp_path, setting.identity(cell))
    with pytest.raises(ValueError, match=message):
        refuse_other_settings(tmp_path, replace(setting, **changes).identity(cell))


def test_a_config_that_was_edited_is_noticed(tmp_path):
    shutil.copytree(BUNDLE / "configs", tmp_path / "bundle" / "configs")
    setting, cell = make_setting(bundle=tmp_path / "bundle"), Cell(SELECTION, 1.0, 0, 0)
    (tmp_path / "settings.json").write_text(json.dumps(setting.identity(cell)))
    (tmp_path / "result.json").touch()
    with (tmp_path / "bundle" / "configs" / "train.yaml").open("a") as config:
        config.write("# edited\n")
    with pytest.raises(ValueError, match="train.yaml was [0-9a-f]{16}, now it is"):
        refuse_other_settings(tmp_path, setting.identity(cell))


def test_a_run_that_left_nothing_may_be_begun_anew(tmp_path):
    cell = Cell(SELECTION, 1.0, 0, 0)
    (tmp_path / "settings.json").write_text(json.dumps(make_setting(data_hash="old").identity(cell)))
    refuse_other_settings(tmp_path, make_setting(data_hash="new").identity(cell))
    (tmp_path / "training_state.pt").touch()
    with pytest.raises(ValueError, match="give another --out, or remove that folder"):
        refuse_other_settings(tmp_path, make_setting(data_hash="new").identity(cell))


def test_each_method_that_learns_tries_the_same_rates_on_a_seed_that_is_not_measured():
    cells = measured_cells([SELECTION, TEACHER, PROBE], [1.0, 0.1], range(2), [0, 1])
    tuning = tuning_cells(cells, [0.1, 0.2, 0.3])
    assert len(set(tuning)) == len({cell.folder for cell in tuning}) == 2 * 2 * 3
    assert {(cell.seed, cell.fold, cell.tuning) for cell in tuning} == {(TUNING_SEED, 0, True)}
    assert not {cell.folder for cell in tuning} & {cell.folder for cell in cells}
    assert {cell.method.name for cell in tuning} == {"selection", "teacher"}


def test_the_rate_with_the_best_validation_is_taken_and_failed_ones_are_left_out(tmp_path):
    tuning = tuning_cells([Cell(SELECTION, 1.0, 0, 0), Cell(SELECTION, 0.1, 0, 0)], [0.1, 0.2, 0.3])
    metrics = {(1.0, 0.1): 0.5, (1.0, 0.2): 0.7, (1.0, 0.3): 0.7, (0.1, 0.1): 0.4}
    for cell in tuning:
        if (cell.fraction, cell.learning_rate) in metrics:
            path = tmp_path / cell.folder / "result.json"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps({"balanced_accuracy": metrics[cell.fraction, cell.learning_rate]}))
    best = best_rates(tuning, tmp_path)
    assert {key: cell.learning_rate for key, cell in best.items()} == {("selection", 1.0): 0.2, ("selection", 0.1): 0.1}
