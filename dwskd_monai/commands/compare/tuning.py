"""The same learning rate budget for each method: as many rates, tried on a seed that no measured run has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dwskd_monai.commands.compare.cells import Cell
from dwskd_monai.commands.compare.results import read_result

TUNING_SEED = 1_000_000  # another than those that are measured, and the same when a grid is extended
Best = dict[tuple[str, float], Cell]  # the best run of a method and fraction


def tuning_cells(cells: Sequence[Cell], rates: Sequence[float]) -> list[Cell]:
    """A run for each rate, method and fraction of a grid, on its first fold, with ``TUNING_SEED``."""
    fold = min(cell.fold for cell in cells)
    first = {(cell.method.name, cell.fraction): cell for cell in cells if cell.method.trains}
    return [
        replace(cell, seed=TUNING_SEED, fold=fold, learning_rate=rate, tuning=True)
        for cell in first.values()
        for rate in rates
    ]


def best_rates(tuning: Sequence[Cell], out: Path) -> Best:
    """For each method and fraction the tuning run with the best balanced accuracy on its validation images.

    Runs that failed are left out; of equal ones the first is taken.
    """
    best: dict[tuple[str, float], tuple[float, Cell]] = {}
    for cell in tuning:
        result = read_result(out, cell)
        if result is None:
            continue
        key, metric = (cell.method.name, cell.fraction), float(result["balanced_accuracy"])
        if key not in best or metric > best[key][0]:
            best[key] = (metric, cell)
    return {key: cell for key, (_, cell) in best.items()}
