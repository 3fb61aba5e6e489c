from __future__ import annotations

import math

import pandas as pd
import pytest

from dwskd_monai.commands.compare.summary import as_markdown, power, summarize, with_combinations, write_summary
from tests.commands.compare.tables import runs

TABLE = runs(
    ("selection", 1.0, 0, 0.60), ("selection", 1.0, 1, 0.70), ("selection", 1.0, 2, 0.80),
    ("selection_kd", 1.0, 0, 0.61), ("selection_kd", 1.0, 1, 0.73), ("selection_kd", 1.0, 2, 0.85),
    ("selection", 0.1, 0, 0.40),
)  # fmt: skip


def row(summary: pd.DataFrame, method: str, fraction: float, metric: str = "balanced_accuracy") -> pd.Series:
    found = summary[(summary.method == method) & (summary.fraction == fraction) & (summary.metric == metric)]
    assert len(found) == 1
    return found.iloc[0]


def test_a_row_has_the_mean_and_the_paired_difference_with_their_intervals():
    kd = row(summarize(TABLE, "selection"), "selection_kd", 1.0)
    # differences 0.01, 0.03, 0.05: mean 0.03, deviation 0.02; t(0.975, 2) = 4.302653
    assert (kd["mean"], kd["difference"]) == pytest.approx((0.73, 0.03))
    assert kd["difference_high"] - kd["difference"] == pytest.approx(4.302653 * 0.02 / math.sqrt(3), abs=1e-6)
    # the unpaired spread is six times as wide: 0.61, 0.73, 0.85
    assert kd["high"] - kd["mean"] == pytest.approx(4.302653 * 0.12 / math.sqrt(3), abs=1e-6)
    assert (kd["runs"], kd["pairs"], kd["training_seconds"], kd["needed_seconds"]) == (3, 3, 11.0, 5.0)


def test_a_difference_of_fewer_pairs_than_runs_says_so():
    fewer = TABLE[~((TABLE["method"] == "selection") & (TABLE["seed"] == 2))]
    text = as_markdown(summarize(fewer, "selection"), "selection")
    (line,) = [line for line in text.splitlines() if "| 1 | selection_kd |" in line]
    assert "(2 pairs) |" in line
    assert "pairs)" not in as_markdown(summarize(TABLE[TABLE["fraction"] == 1.0], "selection"), "selection")


def test_the_baseline_has_no_difference_and_a_single_run_no_interval():
    summary = summarize(TABLE, "selection")
    assert row(summary, "selection", 1.0)["pairs"] == 0
    assert math.isnan(row(summary, "selection", 0.1)["high"])
    assert summary["fraction"].tolist() == sorted(summary["fraction"], reverse=True)


def test_the_text_says_what_the_table_says():
    lines = as_markdown(summarize(TABLE, "selection"), "selection").splitlines()
    assert "| 1 | selection_kd | 3 | 0.730 ± 0.298 | 0.730 ± 0.298 | +0.030 ± 0.050 | 1.0 M | 11 (+ 5) |" in lines
    assert "| 0.1 | selection | 1 | 0.400 | 0.400 |  | 1.0 M | 10 |" in lines


def test_two_students_together_are_rows_beside_their_method():
    table = TABLE.assign(
        ensemble_balanced_accuracy=math.nan, ensemble_macro_auc=math.nan, soup_balanced_accuracy=math.nan
    )
    ours = table["method"] == "selection_kd"
    table.loc[ours, "ensemble_balanced_accuracy"] = 0.9
    table.loc[ours, "soup_balanced_accuracy"] = 0.2
    whole = with_combinations(table)
    assert list(whole["method"].unique()) == ["selection", "selection_kd", "selection_kd+ensemble", "selection_kd+soup"]
    both = whole[whole["method"] == "selection_kd+ensemble"]
    assert (both["balanced_accuracy"].tolist(), both["parameters"].tolist()) == ([0.9] * 3, [2_000_000] * 3)
    soup = whole[whole["method"] == "selection_kd+soup"]
    assert (soup["balanced_accuracy"].tolist(), soup["parameters"].tolist()) == ([0.2] * 3, [1_000_000] * 3)


def test_test_metrics_are_rows_of_their_own():
    table = TABLE.assign(test_balanced_accuracy=TABLE["balanced_accuracy"] - 0.1)
    assert row(summarize(table, "selection"), "selection", 1.0, "test_balanced_accuracy")["mean"] == pytest.approx(0.6)


def test_power_tells_the_interval_that_is_reached_and_the_runs_that_are_needed():
    # deviation 0.02: 3 runs reach 4.303 * 0.02 / sqrt(3) = 0.050; 10 runs 2.262 * 0.02 / sqrt(10) = 0.0143 <= 0.015
    said = power(TABLE, ["selection", "selection_kd"], "selection", 3)
    assert said == (
        "selection_kd - selection, by 3 pairs: standard deviation of a pair 0.020: ± 0.050 with 3 runs per fraction; "
        "± 0.015 needs 10 runs\n"
    )


def test_power_pools_the_deviations_of_the_fractions_by_their_degrees_of_freedom():
    # with all images deviation 0.02 of 3 pairs; of these two, 0.00 and 0.04, variance 0.0008: (2 * 0.0004 + 0.0008) / 3
    few = runs(
        ("selection", 0.1, 1, 0.50), ("selection", 0.1, 2, 0.50), ("selection_kd", 0.1, 1, 0.50),
        ("selection_kd", 0.1, 2, 0.54),
    )  # fmt: skip
    said = power(pd.concat([TABLE, few]), ["selection_kd"], "selection", 3)
    assert "selection_kd - selection, by 5 pairs: standard deviation of a pair 0.023:" in said


@pytest.mark.parametrize("table", [pd.DataFrame(), TABLE[TABLE["seed"] < 2]], ids=["no run", "two pairs"])
def test_power_of_too_few_runs_assumes_a_deviation(table):
    said = power(table, ["selection", "selection_kd"], "selection", 15)
    assert "with an assumed deviation: standard deviation of a pair 0.040: ± 0.022 with 15 runs" in said
    assert "needs 30 runs" in said


def test_the_files_hold_what_is_returned(tmp_path):
    summary, text = write_summary(TABLE, "selection", tmp_path)
    assert (tmp_path / "summary.md").read_text().startswith(text)
    read = pd.read_csv(tmp_path / "summary.csv")
    assert read["mean"].tolist() == pytest.approx(summary["mean"].tolist(), abs=1e-5)
