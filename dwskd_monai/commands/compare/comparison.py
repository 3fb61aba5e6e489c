"""A comparison as a whole: what is asked for is checked, run, collected, and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwskd_monai.commands.compare.cells import Cell, Setting, measured_cells
from dwskd_monai.commands.compare.dataset import data_hashes
from dwskd_monai.commands.compare.figures import draw
from dwskd_monai.commands.compare.grid import run_grid
from dwskd_monai.commands.compare.methods import Method, chosen_methods, read_methods
from dwskd_monai.commands.compare.overrides import grid_bundle
from dwskd_monai.commands.compare.page import write_page
from dwskd_monai.commands.compare.results import collect, write_results
from dwskd_monai.commands.compare.summary import power, write_summary


class FailedRunsError(RuntimeError):
    """Some runs failed; the others are finished and in the tables."""


@dataclass(frozen=True)
class Comparison:
    """A grid that can be run; made by :func:`prepare`.

    Args:
        cells: methods x fractions x folds x seeds.
        setting: what they share.
        methods: each after the one that it needs.
        declared: names of all methods that there are, in their order.
        baseline: the method that the others are compared with.
    """

    cells: Sequence[Cell]
    setting: Setting
    methods: Sequence[Method]
    declared: Sequence[str]
    baseline: str

    def plan(self) -> str:
        """How large the grid is, and which differences it can show."""
        fractions = len({cell.fraction for cell in self.cells})
        sizes = f"{len(self.methods)} methods, {fractions} fractions, {self._planned} folds x seeds"
        return f"{len(self.cells)} runs: {sizes}\n{self._power()}"

    def run(
        self, jobs: int = 1, ray_address: str | None = None, learning_rates: Sequence[float] = (), command: str = ""
    ) -> str:
        """Run what is missing, and write tables, figures and the page.

        Args:
            jobs: runs at a time.
            ray_address: of a Ray cluster to run on.
            learning_rates: each method's is chosen among these for each fraction, on a seed that is not measured; none:
                the config's.
            command: for the page: what it was called by.

        Returns:
            The table, and what its intervals are.

        Raises:
            ValueError: if a run was finished with other settings; nothing is run then.
            FailedRunsError: at the end, if runs failed.
        """
        out = self.setting.out
        cells, failed = run_grid(self.cells, self.setting, jobs, ray_address, learning_rates)
        table = collect(out, self.declared)
        if table.empty:
            raise FailedRunsError(_failures(failed))
        write_results(table, out)
        summary, text = write_summary(table, self.baseline, out)
        page = write_page(
            out,
            f"{self.setting.bundle.name}: methods compared",
            summary,
            self.methods,
            draw(summary, out),
            {
                "command": command,
                "bundle": self.setting.bundle.name,
                "data": f"{self.setting.dataset_dir.name}, digest {self.setting.data_hash}",
                "baseline": self.baseline,
                "runs": f"{len(table)}, of this command {len(cells) - len(failed)} of {len(cells)}",
                "versions": "; ".join(sorted(table["versions"].unique())),
            },
            {str(cell): reason for cell, reason in failed.items()},
        )
        said = f"{text}\n{self._power()}\nwritten to {out}: results.csv, summary.md, figures, {page.name}\n"
        if failed:
            raise FailedRunsError(f"{said}\n{_failures(failed)}")
        return said

    @property
    def _planned(self) -> int:
        return len({(cell.fold, cell.seed) for cell in self.cells})

    def _power(self) -> str:
        names = [method.name for method in self.methods]
        return power(collect(self.setting.out, self.declared), names, self.baseline, self._planned)


def prepare(
    bundle: str | Path,
    dataset_dir: str | Path,
    out: str | Path,
    methods: Sequence[str],
    fractions: Sequence[float],
    seeds: Sequence[int],
    folds: int | None,
    baseline: str,
    test_dir: str | Path | None = None,
    demo: bool = False,
    methods_file: str | Path | None = None,
    keep_models: bool = False,
    overrides: Mapping[str, Any] | None = None,
) -> Comparison:
    """Check what is asked for; nothing is run.

    Args:
        bundle: folder of the bundle.
        dataset_dir: labelled images, as for training.
        out: folder of the results.
        methods: names; one that another needs is added.
        fractions: shares of the training images, in (0, 1].
        seeds: of folds, subsets, initialisation and order.
        folds: stratified folds, each of which is the validation set once; None: the bundle's own split.
        baseline: among the methods.
        test_dir: labelled images on which each run is evaluated once, at its end; nothing is chosen by them.
        demo: apply the bundle's demo.yaml.
        methods_file: YAML with further methods.
        keep_models: keep each run's best network.
        overrides: ids of the config and values, for all methods; ``ID@FRACTION`` for one fraction alone.

    Raises:
        FileNotFoundError, ValueError: for bad input; the message names it.
    """
    declared = read_methods(methods_file)
    chosen = chosen_methods(methods, declared)
    names = [method.name for method in chosen]
    if baseline not in names:
        raise ValueError(f"baseline must be among the methods {', '.join(names)}; got {baseline}")
    too_few = folds is not None and folds < 2
    if not fractions or not seeds or not all(0 < fraction <= 1 for fraction in fractions) or too_few:
        raise ValueError(
            "expected fractions in (0, 1], at least one seed, and 2 or more folds; got "
            f"fractions={list(fractions)}, seeds={list(seeds)}, folds={folds}"
        )
    root, out = Path(bundle).resolve(), Path(out).resolve()
    tests = None if test_dir is None else Path(test_dir).resolve()
    checked = grid_bundle(root, demo, overrides or {})
    data_hash, test_hash = data_hashes(checked, Path(dataset_dir).resolve(), folds, tests, out / "cache")
    setting = Setting(
        bundle=root,
        dataset_dir=Path(dataset_dir).resolve(),
        out=out,
        folds=folds,
        demo=demo,
        test_dir=tests,
        overrides=overrides or {},
        kept=frozenset(names if keep_models else (method.needs for method in chosen if method.needs is not None)),
        data_hash=data_hash,
        test_hash=test_hash,
    )
    cells = measured_cells(chosen, fractions, range(folds or 1), seeds)
    return Comparison(cells, setting, chosen, list(declared), baseline)


def _failures(failed: Mapping[Cell, str]) -> str:
    lines = [f"{len(failed)} runs failed; the same command tries them again:"]
    return "\n".join([*lines, *(f"  {cell}: {reason}" for cell, reason in failed.items())])
