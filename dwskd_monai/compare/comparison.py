"""The command ``compare``: a grid of methods, data fractions, folds and seeds on a user's own data."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dwskd_monai.compare.cells import Cell, Setting, measured_cells
from dwskd_monai.compare.dataset import data_hash, read_config
from dwskd_monai.compare.figures import draw
from dwskd_monai.compare.grid import run_grid
from dwskd_monai.compare.methods import chosen_methods, read_methods
from dwskd_monai.compare.page import write_page
from dwskd_monai.compare.results import collect, write_results
from dwskd_monai.compare.summary import power, write_summary

METHODS = ("scratch", "selection", "selection_kd", "mean_teacher", "dws_skd_ema", "dws_skd_mutual", "teacher")
FRACTIONS = (1.0, 0.25, 0.1, 0.05)
SEEDS = (0, 1, 2)
_logger = logging.getLogger(__name__)


class FailedRunsError(RuntimeError):
    """Some runs failed; the others are finished and in the tables."""


def compare(
    bundle: str | Path,
    dataset_dir: str | Path,
    out: str | Path,
    *,
    methods: Sequence[str] = METHODS,
    fractions: Sequence[float] = FRACTIONS,
    seeds: Sequence[int] = SEEDS,
    folds: int | None = None,
    baseline: str = "selection",
    learning_rates: Sequence[float] = (),
    test_dir: str | Path | None = None,
    demo: bool = False,
    jobs: int = 1,
    ray_address: str | None = None,
    methods_file: str | Path | None = None,
    keep_models: bool = False,
    plan: bool = False,
    overrides: Mapping[str, Any] | None = None,
) -> str:
    """Run what is missing of methods x fractions x folds x seeds by a bundle's configs, and say what came out.

    Args:
        bundle: folder of the bundle.
        dataset_dir: labelled images, as for training.
        out: folder of the results; a grid that was stopped is continued there, a finished one is only drawn again.
        methods: names in ``methods.yaml`` or ``methods_file``; one that another needs is added.
        fractions: shares of the training images, in (0, 1].
        seeds: of folds, subsets, initialisation and order.
        folds: stratified folds, each of which is the validation set once; None: the bundle's own split.
        baseline: the method that the others are compared with.
        learning_rates: each method's is chosen among these for each fraction, on a seed that is not measured; none:
            the config's.
        test_dir: labelled images on which each run is evaluated once, at its end; nothing is chosen by them.
        demo: apply the bundle's demo.yaml.
        jobs: runs at a time.
        ray_address: of a Ray cluster to run on.
        methods_file: YAML with further methods.
        keep_models: keep each run's best network.
        plan: run nothing; say how large the grid is and what it can show.
        overrides: ids of the config and values, for all methods; ``ID@FRACTION`` for one fraction alone.

    Returns:
        What to print: the table, and what its intervals are.

    Raises:
        FileNotFoundError, ValueError: for bad input, before anything is run.
        FailedRunsError: at the end, if runs failed.
    """
    bundle, dataset_dir, out = Path(bundle).resolve(), Path(dataset_dir).resolve(), Path(out).resolve()
    chosen = chosen_methods(methods, read_methods(methods_file))
    names = [method.name for method in chosen]
    if baseline not in names:
        raise ValueError(f"baseline must be among the methods {', '.join(names)}; got {baseline}")
    wrong = [fraction for fraction in fractions if not 0 < fraction <= 1]
    if wrong or not fractions or not seeds or jobs < 1 or (folds is not None and folds < 2):
        raise ValueError(
            "expected fractions in (0, 1], at least one seed, jobs >= 1 and folds >= 2; got "
            f"fractions={list(fractions)}, seeds={list(seeds)}, jobs={jobs}, folds={folds}"
        )
    overrides = overrides or {}
    cells = measured_cells(chosen, fractions, range(folds or 1), seeds)
    kept = set(names) if keep_models else {method.needs for method in chosen if method.needs is not None}
    setting = Setting(
        bundle, dataset_dir, out, folds, demo, None if test_dir is None else Path(test_dir).resolve(), overrides,
        frozenset(kept),
    )  # fmt: skip
    parser = read_config(bundle, setting.configs(chosen[0]), overrides)
    setting = replace(setting, data_hash=data_hash(parser, dataset_dir, folds, setting.test_dir, out / "cache"))
    planned = (folds or 1) * len(seeds)
    if plan:
        runs = f"{len(cells)} runs: {len(names)} methods, {len(fractions)} fractions, {planned} folds x seeds\n"
        return runs + power(collect(out, cells, setting.data_hash), names, baseline, planned)
    cells, failed = run_grid(cells, setting, jobs, ray_address, learning_rates)
    table = collect(out, cells, setting.data_hash)
    if table.empty:
        raise FailedRunsError(_failures(failed))
    write_results(table, out)
    summary, text = write_summary(table, baseline, out)
    facts = {
        "bundle": bundle.name,
        "data": f"{dataset_dir.name}, {setting.data_hash}",
        "baseline": baseline,
        "runs": f"{len(table)} of {len(cells)}",
        "changes of the config": ", ".join(f"{key} {value}" for key, value in overrides.items()) or "none",
        "versions": "; ".join(sorted(table["versions"].unique())),
    }
    page = write_page(
        out,
        f"{bundle.name}: methods compared",
        summary,
        chosen,
        draw(summary, out),
        facts,
        {str(cell): reason for cell, reason in failed.items()},
    )
    said = f"{text}\n{power(table, names, baseline, planned)}\nwritten to {out}: results.csv, summary.md, {page.name}\n"
    if failed:
        raise FailedRunsError(f"{said}\n{_failures(failed)}")
    return said


def _failures(failed: Mapping[Cell, str]) -> str:
    lines = [f"{len(failed)} runs failed; the same command tries them again:"]
    return "\n".join([*lines, *(f"  {cell}: {reason}" for cell, reason in failed.items())])
