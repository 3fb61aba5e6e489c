import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from side_by_side_differences import read_runs, table_of


def rows(method: str, values: dict[tuple[str, int], float], run: int = 1) -> list[dict]:
    return [
        {"run": run, "method": method, "set": name, "fold": 0, "seed": seed, "test_balanced_accuracy": value}
        for (name, seed), value in values.items()
    ]


def test_pairs_are_of_one_set_fold_and_seed_and_runs_of_a_method_are_averaged():
    runs = pd.DataFrame(
        rows("new", {("a", 0): 0.8, ("a", 1): 0.7, ("b", 0): 0.9, ("b", 5): 0.1})
        + rows("old", {("a", 0): 0.6, ("a", 1): 0.6, ("b", 0): 0.6})
        + rows("old", {("a", 0): 0.8}, run=2)
    )
    table = table_of(runs, "new", "old", "test_balanced_accuracy")
    assert table["pairs"].to_dict() == {"a": 2, "b": 1, "all": 3}
    assert table.loc["a", "difference"] == pytest.approx(0.1)
    assert table.loc["a", "±"] == pytest.approx(0, abs=1e-9)
    assert table.loc["all", "difference"] == pytest.approx(0.5 / 3)
    assert table.loc["all", "±"] == pytest.approx(4.303 * 0.11547 / 3**0.5, rel=1e-3)
    assert list(table_of(runs, "new", "old", "test_balanced_accuracy", ["b"]).index) == ["b", "all"]


def test_other_numbers_of_labels_make_no_pairs():
    runs = read_runs()
    assert set(runs.loc[runs["run"] == 4, "set"]) == {"chest_xray, run 4"}
    assert runs.loc[runs["set"] == "chest_xray, run 4", "labels"].tolist() == [15] * 8
    assert not set(runs.loc[runs["run"] != 4, "set"]) & {"chest_xray, run 4"}


def test_images_of_two_samples_make_no_pairs():
    runs = read_runs()
    table = table_of(runs, "soft_labels", "selection", "test_balanced_accuracy")
    assert table["pairs"].to_dict() == {
        "brain_mri": 12, "chest_xray": 12, "lung_ct": 12, "dermoscopy, run 1": 12, "all": 48
    }  # fmt: skip
    assert table.loc["dermoscopy, run 1", "difference"] < 0, "of run 1 alone"
    assert list(table_of(runs, "soft_labels", "two_starts", "test_balanced_accuracy", "dermoscopy").index) == [
        "dermoscopy",
        "all",
    ]
