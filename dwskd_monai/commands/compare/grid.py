"""Running a grid: the missing runs, each after the one that it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dwskd_monai.commands.compare.methods import Method
from dwskd_monai.commands.compare.results import RESULT
from dwskd_monai.commands.compare.running import is_finished
from dwskd_monai.commands.compare.runs import Run
from dwskd_monai.commands.compare.scheduling import run_all
from dwskd_monai.commands.compare.setting import SETTINGS, Setting, refuse_other_settings
from dwskd_monai.commands.compare.tuning import Best, best_rates, tuning_runs
from dwskd_monai.files import read_json


def run_grid(
    runs: Sequence[Run],
    setting: Setting,
    methods: Mapping[str, Method],
    at_a_time: int = 1,
    ray_address: str | None = None,
    rates: Sequence[float] = (),
) -> tuple[list[Run], dict[Run, str]]:
    """Carry out the missing runs of a grid; if there are ``rates``, first the runs that choose one for each method.

    Args:
        runs: the grid.
        setting: what all runs share.
        methods: all that are declared, by name.
        at_a_time, ray_address: see :func:`~dwskd_monai.commands.compare.scheduling.run_all`.
        rates: learning rates to choose from; if there are none, the rate of the config is used.

    Returns:
        The runs with their learning rates, and those that failed, with the reason.

    Raises:
        ValueError: if a run was made before with other settings; nothing is run then.
    """
    failed: dict[Run, str] = {}
    best: Best = {}
    for wave in _waves(tuning_runs(runs, rates)) if rates else []:
        failed |= _run_missing(wave, setting, at_a_time, ray_address, "choosing learning rates", best)
        best |= best_rates(wave, setting.out)
    rate_of = {key: run.learning_rate for key, run in best.items()}
    chosen = [replace(run, learning_rate=rate_of.get((run.method.name, run.fraction))) for run in runs]
    for run in chosen:
        is_finished(run, setting)
    _refuse_other_results(chosen, setting, methods)
    for wave in _waves(chosen):
        failed |= _run_missing(wave, setting, at_a_time, ray_address, "runs", {})
    return chosen, failed


def _refuse_other_results(runs: Sequence[Run], setting: Setting, methods: Mapping[str, Method]) -> None:
    """Finished runs of the same shares of images, which stand in the same tables, must have the same settings."""
    fractions = {run.fraction for run in runs}
    rates = {(run.method.name, run.fraction): run.learning_rate for run in runs}
    for path in sorted((setting.out / "runs").rglob(RESULT)):
        result = read_json(path)
        fraction, method = result["fraction"], methods.get(result["method"])
        if method is None or fraction not in fractions or not path.with_name(SETTINGS).is_file():
            continue
        cell = method.name, fraction
        if method.unlabeled and cell not in rates and not setting.unlabeled_hashes.get(fraction):
            continue  # this grid does without images without labels
        overrides = read_json(path.with_name(SETTINGS))["overrides"]
        chosen = overrides.get("learning_rate") if _is_tuned(method, setting) else None
        run = Run(method, fraction, result["fold"], result["seed"], rates.get(cell, chosen))
        refuse_other_settings(path.parent, setting.identity(run))


def _is_tuned(method: Method, setting: Setting) -> bool:
    """Whether a learning rate was chosen for a method; it is then no setting of the grid."""
    return (setting.out / "tuning" / method.name).is_dir()


def _run_missing(
    runs: Sequence[Run], setting: Setting, at_a_time: int, ray_address: str | None, title: str, best: Best
) -> dict[Run, str]:
    jobs = [(run, _needed(run, setting.out, best)) for run in runs if not is_finished(run, setting)]
    return run_all(jobs, setting, at_a_time, ray_address, title)


def _needed(run: Run, out: Path, best: Mapping[tuple[str, float], Run]) -> Path | None:
    """Folder of the run whose network a run needs; if it chooses a rate, the best such run of the needed method."""
    needs = run.method.needs
    if needs is None:
        return None
    chosen = best.get((needs, run.fraction))
    return out / (run.beside(needs) if chosen is None else chosen.folder)


def _waves(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that need none of the others, then those that need them, and so on."""
    waves: list[list[Run]] = []
    done: set[str | None] = {None}
    waiting = list(runs)
    while waiting:
        waves.append([run for run in waiting if run.method.needs in done])
        waiting = [run for run in waiting if run.method.needs not in done]
        done |= {run.method.name for run in waves[-1]}
    return waves
