"""Running a grid: what is missing of it, in an order in which each run finds what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dwskd_monai.commands.compare.cells import Cell, Setting
from dwskd_monai.commands.compare.running import is_finished
from dwskd_monai.commands.compare.scheduling import run_cells
from dwskd_monai.commands.compare.tuning import Best, best_rates, tuning_cells


def run_grid(
    cells: Sequence[Cell],
    setting: Setting,
    processes: int = 1,
    ray_address: str | None = None,
    rates: Sequence[float] = (),
) -> tuple[list[Cell], dict[Cell, str]]:
    """Run what is missing of a grid; where there are ``rates``, first the runs that choose one for each method.

    Args:
        cells: the grid.
        setting: what its cells share.
        processes, ray_address: see :func:`~dwskd_monai.commands.compare.scheduling.run_cells`.
        rates: learning rates to choose from; none: the config's.

    Returns:
        The cells with their learning rates, and those that failed, with the reason.

    Raises:
        ValueError: if a cell was run before with other settings; nothing is run then.
    """
    failed: dict[Cell, str] = {}
    best: Best = {}
    for wave in _waves(tuning_cells(cells, rates)) if rates else []:
        failed |= _run(wave, setting, processes, ray_address, "choosing learning rates", best)
        best |= best_rates(wave, setting.out)
    rate_of = {key: cell.learning_rate for key, cell in best.items()}
    chosen = [replace(cell, learning_rate=rate_of.get((cell.method.name, cell.fraction))) for cell in cells]
    for cell in chosen:
        is_finished(cell, setting)
    for wave in _waves(chosen):
        failed |= _run(wave, setting, processes, ray_address, "runs", {})
    return chosen, failed


def _run(
    cells: Sequence[Cell], setting: Setting, processes: int, ray_address: str | None, title: str, best: Best
) -> dict[Cell, str]:
    jobs = [(cell, _needed(cell, setting.out, best)) for cell in cells if not is_finished(cell, setting)]
    return run_cells(jobs, setting, processes, ray_address, title)


def _needed(cell: Cell, out: Path, best: Mapping[tuple[str, float], Cell]) -> Path | None:
    """Folder of the run whose network a cell needs; for a cell that chooses a rate, the best of the other's."""
    needs = cell.method.needs
    if needs is None:
        return None
    return out / (best[needs, cell.fraction].folder if (needs, cell.fraction) in best else cell.beside(needs))


def _waves(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells that need none of the others, then those that need them, and so on."""
    waves: list[list[Cell]] = []
    done: set[str | None] = {None}
    waiting = list(cells)
    while waiting:
        waves.append([cell for cell in waiting if cell.method.needs in done])
        waiting = [cell for cell in waiting if cell.method.needs not in done]
        done |= {cell.method.name for cell in waves[-1]}
    return waves
