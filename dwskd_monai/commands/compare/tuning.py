"""The same learning rate budget for each method: the same rates, tried on a seed that no measured run has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dwskd_monai.commands.compare.results import read_result
from dwskd_monai.commands.compare.runs import Run

TUNING_SEED = 1_000_000  # not one of the measured seeds, and the same when a grid is extended
Best = dict[tuple[str, float], Run]  # the best run of a method and fraction


def tuning_runs(runs: Sequence[Run], rates: Sequence[float]) -> list[Run]:
    """A run for each rate, method and fraction of a grid, on its first fold, with ``TUNING_SEED``."""
    fold = min(run.fold for run in runs)
    of_each = {(run.method.name, run.fraction): run for run in runs if run.method.trains}
    return [
        replace(run, seed=TUNING_SEED, fold=fold, learning_rate=rate, tuning=True)
        for run in of_each.values()
        for rate in rates
    ]


def best_rates(tuning: Sequence[Run], out: Path) -> Best:
    """For each method and fraction, the tuning run with the best balanced accuracy on its validation images.

    Runs that failed are left out; of equal runs, the first is taken.
    """
    best: Best = {}
    metrics: dict[tuple[str, float], float] = {}
    for run in tuning:
        result = read_result(out, run)
        if result is None:
            continue
        key = (run.method.name, run.fraction)
        metric = float(result["balanced_accuracy"])
        if key not in best or metric > metrics[key]:
            best[key] = run
            metrics[key] = metric
    return best
