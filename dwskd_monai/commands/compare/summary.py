"""The summary of the runs: a row for each method and fraction, with intervals."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from dwskd_monai.commands.compare.results import METRICS, TIMES
from dwskd_monai.commands.compare.statistics import differences, estimate, half_width, runs_needed
from dwskd_monai.evaluation.metrics import label_of
from dwskd_monai.files import replacing
from dwskd_monai.training.both_students import COMBINATIONS

WANTED = 0.015  # half width of a paired difference with which two points can be seen
ASSUMED_DEVIATION = 0.04  # of paired differences in balanced accuracy, if there are too few runs
FEWEST_DEGREES_OF_FREEDOM = 2  # two pairs may be equal by chance, which would promise an interval of zero


def with_combinations(table: pd.DataFrame) -> pd.DataFrame:
    """The runs, and another row for each combination of two students, with a name such as ``method+ensemble``."""
    parts = [table]
    for combination in COMBINATIONS:
        own = [column for column in table if column.removeprefix("test_").startswith(f"{combination}_")]
        if not own:
            continue
        rows = table[table[own[0]].notna()].copy()
        rows["method"] += f"+{combination}"
        for column in own:
            rows[column.replace(f"{combination}_", "")] = rows[column]
        if combination == "ensemble":
            rows["parameters"] *= 2
        parts.append(rows)
    order = {method: place for place, method in enumerate(table["method"].unique())}
    whole = pd.concat(parts, ignore_index=True)
    return whole.sort_values("method", key=lambda names: names.str.partition("+")[0].map(order), kind="stable")


def summarize(table: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """For each fraction, method and metric: mean, interval, and the paired difference from the baseline.

    Args:
        table: results, one row per run.
        baseline: a method.

    Returns:
        Columns ``fraction``, ``method``, ``metric``, ``runs``, ``mean``, ``low``, ``high``, ``pairs``, ``difference``,
        ``difference_low``, ``difference_high``, ``parameters`` and the mean seconds; the largest fraction comes first.
    """
    table = with_combinations(table)
    metrics = [split + name for split in ("", "test_") for name in METRICS if split + name in table]
    rows = []
    for fraction in sorted(table["fraction"].unique(), reverse=True):
        here = table[table["fraction"] == fraction]
        for method in here["method"].unique():
            runs = here[here["method"] == method]
            for metric in metrics:
                value = estimate(runs[metric].tolist())
                paired = estimate([] if method == baseline else differences(here, method, baseline, metric).tolist())
                rows.append(
                    {
                        "fraction": fraction,
                        "method": method,
                        "metric": metric,
                        "runs": value.runs,
                        "mean": value.mean,
                        "low": value.low,
                        "high": value.high,
                        "pairs": paired.runs,
                        "difference": paired.mean,
                        "difference_low": paired.low,
                        "difference_high": paired.high,
                        "parameters": int(runs["parameters"].iloc[0]),
                    }
                    | {name: runs[name].mean() for name in TIMES}
                )
    return pd.DataFrame(rows)


def as_markdown(summary: pd.DataFrame, baseline: str) -> str:
    """A table for people: a row for each fraction and method, and metrics with their intervals."""
    metrics = list(summary["metric"].unique())
    names = [
        "training images",
        "method",
        "runs",
        *map(label_of, metrics),
    ]
    names += [f"Δ balanced accuracy to {baseline}", "parameters", "seconds"]
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for (fraction, method), rows in summary.groupby(["fraction", "method"], sort=False):
        by_metric = rows.set_index("metric")
        first = by_metric.loc["balanced_accuracy"]
        seconds = f"{first['training_seconds']:.0f}"
        if first["needed_seconds"] > 0:
            seconds += f" (+ {first['needed_seconds']:.0f})"
        fields = [f"{fraction:.3g}", method, f"{first['runs']}"]
        fields += [_with_interval(by_metric.loc[name], "mean", "high") for name in metrics]
        fields += [
            _with_interval(first, "difference", "difference_high", "+") + _pairs(first) if first["pairs"] else ""
        ]
        fields += [f"{first['parameters'] / 1e6:.1f} M", seconds]
        lines.append("| " + " | ".join(fields) + " |")
    return "\n".join(lines) + "\n"


def _pairs(row: pd.Series) -> str:
    """How many pairs a difference is of, if not all runs have one; the means beside it are then of other runs."""
    return "" if row["pairs"] == row["runs"] else f" ({row['pairs']} pairs)"


def _with_interval(row: pd.Series, mean: str, high: str, sign: str = "") -> str:
    if math.isnan(row[mean]):
        return "undefined"
    width = row[high] - row[mean]
    return f"{row[mean]:{sign}.3f}" + ("" if math.isnan(width) else f" ± {width:.3f}")


def write_summary(table: pd.DataFrame, baseline: str, out: Path) -> tuple[pd.DataFrame, str]:
    """Write ``summary.csv`` and ``summary.md``; returns their contents."""
    summary = summarize(table, baseline)
    text = as_markdown(summary, baseline)
    versions = "; ".join(sorted(table["versions"].unique()))
    note = (
        "Mean over folds and seeds with its 95 % interval (Student); Δ is the mean of paired differences (same images, "
        "order and seed) with its interval. Seconds are of training, in brackets those of the run that it needs.\n"
        "Metrics without `test` are of the validation images that also chose the epoch, for each method alike.\n"
    )
    with replacing(out / "summary.csv") as temporary:
        summary.to_csv(temporary, index=False, float_format="%.6g")
    with replacing(out / "summary.md") as temporary:
        temporary.write_text(f"{text}\n{note}\n{versions}; data {', '.join(sorted(table['data_hash'].unique()))}\n")
    return summary, text


def power(table: pd.DataFrame, methods: list[str], baseline: str, planned: int, wanted: float = WANTED) -> str:
    """Which interval the paired differences of a planned grid will have, and how many runs a narrower one needs.

    Args:
        table: the runs so far; may be empty.
        methods: the methods that are compared with the baseline.
        baseline: a method.
        planned: number of runs of each method and fraction: folds times seeds.
        wanted: the wanted half width of the interval.

    Returns:
        A line for each method with at least three pairs, which give the deviation (pooled over the fractions); if there
        is no such method, a line for an assumed deviation.
    """
    lines = []
    for method in methods:
        if method == baseline or table.empty:
            continue
        # for each fraction, since a mean difference may depend on it
        each = [
            estimate(differences(rows, method, baseline, "balanced_accuracy").tolist())
            for _, rows in table.groupby("fraction")
        ]
        known = [value for value in each if value.runs > 1]
        freedom = sum(value.runs - 1 for value in known)
        if freedom >= FEWEST_DEGREES_OF_FREEDOM:
            deviation = math.sqrt(sum((value.runs - 1) * value.deviation**2 for value in known) / freedom)
            pairs = sum(value.runs for value in known)
            lines.append(_power(f"{method} - {baseline}, by {pairs} pairs", deviation, planned, wanted))
    if not lines:
        lines = [_power("too few runs yet; with an assumed deviation", ASSUMED_DEVIATION, planned, wanted)]
    return "\n".join(lines) + "\n"


def _power(name: str, deviation: float, planned: int, wanted: float) -> str:
    reached = half_width(deviation, planned)
    shown = "no interval with one run" if math.isnan(reached) else f"± {reached:.3f} with {planned} runs"
    needed = runs_needed(deviation, wanted)
    return (
        f"{name}: standard deviation of a pair {deviation:.3f}: {shown} per fraction; ± {wanted:g} needs {needed} runs"
    )
