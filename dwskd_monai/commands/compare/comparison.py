"""A whole comparison: it is checked and run, and its results are collected and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dwskd_monai.commands.compare.dataset import data_hashes, hash_of_unlabeled
from dwskd_monai.commands.compare.figures import draw
from dwskd_monai.commands.compare.grid import run_grid
from dwskd_monai.commands.compare.grid_file import Grid, write_grid
from dwskd_monai.commands.compare.methods import Method, chosen_methods, read_methods
from dwskd_monai.commands.compare.overrides import grid_bundle, refuse_unknown_of_methods
from dwskd_monai.commands.compare.page import write_page
from dwskd_monai.commands.compare.results import collect, write_results
from dwskd_monai.commands.compare.runs import Run, measured_runs
from dwskd_monai.commands.compare.setting import Setting, places_of_unlabeled
from dwskd_monai.commands.compare.summary import power, write_summary


class FailedRunsError(RuntimeError):
    """Some runs failed; the others are finished, and the tables have them."""


@dataclass(frozen=True)
class Comparison:
    """A grid that can be run; made by :func:`prepare`.

    Args:
        grid: the options.
        runs: methods x fractions x folds x seeds.
        setting: what all runs share.
        methods: each comes after the method that it needs.
        declared: all declared methods by name, in their order.
    """

    grid: Grid
    runs: Sequence[Run]
    setting: Setting
    methods: Sequence[Method]
    declared: Mapping[str, Method]

    def plan(self) -> str:
        """How large the grid is, and how small a difference it can show."""
        fractions = len({run.fraction for run in self.runs})
        sizes = f"{len(self.methods)} methods, {fractions} fractions, {self._planned} folds x seeds"
        return f"{len(self.runs)} runs: {sizes}\n{self._power()}"

    def run(self, jobs: int = 1, ray_address: str | None = None, command: str = "") -> str:
        """Run what is missing, and write tables, figures and the page.

        Args:
            jobs: how many runs at a time.
            ray_address: address of a Ray cluster to run on.
            command: the command line, for the page.

        Returns:
            The table, with the intervals that were reached.

        Raises:
            ValueError: if a run was finished with other settings, also one of another seed or method that would stand
                in the same table; nothing is run then.
            FailedRunsError: at the end, if runs failed.
        """
        write_grid(self.grid)
        runs, failed = run_grid(self.runs, self.setting, self.declared, jobs, ray_address, self.grid.learning_rates)
        table = collect(self.grid.out, self.declared)
        if table.empty:
            raise FailedRunsError(_failures(failed))
        write_results(table, self.grid.out)
        summary, text = write_summary(table, self.grid.baseline, self.grid.out)
        facts = {
            "command": command,
            "bundle": self.grid.bundle.name,
            "data": f"{self.grid.dataset_dir.name}, digest {self.setting.data_hash}",
            "baseline": self.grid.baseline,
            "runs": f"{len(table)}, of this command {len(runs) - len(failed)} of {len(runs)}",
            "versions": "; ".join(sorted(table["versions"].unique())),
        }
        title = f"{self.grid.bundle.name}: methods compared"
        reasons = {str(run): reason for run, reason in failed.items()}
        figures = draw(summary, self.grid.out)
        page = write_page(self.grid.out, title, summary, self.methods, figures, facts, reasons)
        files = f"written to {self.grid.out}: results.csv, summary.md, figures, {page.name}"
        report = f"{text}\n{self._power()}\n{files}\n"
        if failed:
            raise FailedRunsError(f"{report}\n{_failures(failed)}")
        return report

    @property
    def _planned(self) -> int:
        return len({(run.fold, run.seed) for run in self.runs})

    def _power(self) -> str:
        names = [method.name for method in self.methods]
        return power(collect(self.grid.out, self.declared), names, self.grid.baseline, self._planned)


def prepare(grid: Grid) -> Comparison:
    """Check the options and the data; nothing is run.

    Raises:
        FileNotFoundError, ValueError: for bad input; the message names it.
    """
    declared = read_methods(grid.methods_file)
    methods = chosen_methods(grid.methods, declared)
    names = [method.name for method in methods]
    if grid.baseline not in names:
        raise ValueError(f"baseline must be among the methods {', '.join(names)}; got {grid.baseline}")
    places = {fraction: places_of_unlabeled(grid.overrides, fraction) for fraction in grid.fractions}
    if any(places.values()) and not any(method.unlabeled for method in methods):
        settings = ", ".join(dict.fromkeys(setting for own in places.values() for setting, _ in own))
        raise ValueError(
            f"{settings}: none of the methods {', '.join(names)} learns from images without labels; add one that does, "
            "such as teacher_soft_labels, or leave it out"
        )
    needed = {method.needs for method in methods if method.needs is not None}
    bundle = grid_bundle(grid.bundle, grid.demo, grid.overrides)
    refuse_unknown_of_methods(grid.bundle, methods)
    data_hash, test_hash = data_hashes(bundle, grid.dataset_dir, grid.folds, grid.test_dir, grid.out / "cache")
    setting = Setting(
        bundle=grid.bundle,
        dataset_dir=grid.dataset_dir,
        out=grid.out,
        folds=grid.folds,
        demo=grid.demo,
        test_dir=grid.test_dir,
        overrides=grid.overrides,
        kept=frozenset(names if grid.keep_models else needed),
        data_hash=data_hash,
        test_hash=test_hash,
        unlabeled_hashes={
            fraction: hash_of_unlabeled(bundle, own, grid.out / "cache") for fraction, own in places.items()
        },
    )
    runs = measured_runs(methods, grid.fractions, range(grid.folds or 1), grid.seeds)
    return Comparison(grid, runs, setting, methods, declared)


def _failures(failed: Mapping[Run, str]) -> str:
    lines = [f"{len(failed)} runs failed; the same command tries them again:"]
    return "\n".join([*lines, *(f"  {run}: {reason}" for run, reason in failed.items())])
