"""Paired differences on test images, from the committed runs of ``side_by_side.py``.

    python benchmarks/side_by_side_differences.py teacher_soft_labels selection
    python benchmarks/side_by_side_differences.py soft_labels two_starts --runs 2

A pair is the same set, fold and seed; of a method that was run more than once, the mean of its runs. Run 1 has another
sample of dermoscopy images, and run 4 five labels of each class, so these make no pairs with other runs. The last line
is over all pairs. Intervals are of 95 %, by Student's t.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fire
import pandas as pd

from dwskd_monai.commands.compare.statistics import estimate

RESULTS = Path(__file__).with_name("results") / "side_by_side.csv"
PAIR = ["set", "fold", "seed"]
MEASURE = "test_balanced_accuracy"


def table_of(
    runs: pd.DataFrame, method: str, other: str, measure: str, sets: str | Sequence[str] | None = None
) -> pd.DataFrame:
    """A row for each set, and one for all: the mean difference, half the width of its interval, and the pairs."""
    chosen = runs if sets is None else runs[runs["set"].isin([sets] if isinstance(sets, str) else sets)]
    means = chosen.groupby(["method", *PAIR])[measure].mean()
    difference = (means[method] - means[other]).dropna()
    parts = {str(name): part for name, part in difference.groupby(level="set")} | {"all": difference}
    rows = {}
    for name, part in parts.items():
        result = estimate(part.tolist())
        rows[name] = {"difference": result.mean, "±": result.half_width, "pairs": result.runs}
    return pd.DataFrame(rows).T.astype({"pairs": int})


def read_runs(file: Path | str = RESULTS) -> pd.DataFrame:
    """All runs; the dermoscopy images of run 1, and what has other labels in run 4, are sets of their own."""
    runs = pd.read_csv(file)
    apart = ((runs["run"] == 1) & (runs["set"] == "dermoscopy")) | (runs["run"] == 4)
    runs["set"] = runs["set"].mask(apart, runs["set"] + ", run " + runs["run"].astype(str))
    return runs


def main(
    method: str, other: str, runs: int | Sequence[int] = (1, 2, 3), sets: str | Sequence[str] | None = None,
    measure: str = MEASURE, results: str = str(RESULTS),
) -> None:  # fmt: skip
    """Print the table.

    Args:
        method: its values minus those of the other one.
        other: another method.
        runs: numbers of the runs of the script that count.
        sets: those that count; all by default.
        measure: a column.
        results: the CSV file.
    """
    table = read_runs(results)
    wanted = [runs] if isinstance(runs, int) else list(runs)
    print(table_of(table[table["run"].isin(wanted)], method, other, measure, sets).round(3).to_string())


if __name__ == "__main__":
    fire.Fire(main)
