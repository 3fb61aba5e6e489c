"""The grid: its runs, and where the files of each run are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dwskd_monai.commands.compare.methods import Method


@dataclass(frozen=True)
class Run:
    """A method on a share of the training images of one fold, with one seed.

    Runs that differ only in the method are a pair: they have the same images, order and augmentation.

    Args:
        method: the method.
        fraction: share of the training images.
        fold: number of the validation fold.
        seed: of folds, subset, initialization and order.
        learning_rate: peak of the schedule; None: that of the config.
        tuning: True for a run that only chooses a learning rate.
    """

    method: Method
    fraction: float
    fold: int
    seed: int
    learning_rate: float | None = None
    tuning: bool = False

    @property
    def folder(self) -> Path:
        """The folder of its files, below that of the results."""
        folder = self.beside(self.method.name)
        return Path("tuning", *folder.parts[1:], f"lr{self.learning_rate:g}") if self.tuning else folder

    def beside(self, method: str) -> Path:
        """Folder of another method's run on the same images with the same seed."""
        return Path("runs", method, f"{self.fraction:g}", f"fold{self.fold}_seed{self.seed}")

    def __str__(self) -> str:
        rate = f", learning rate {self.learning_rate:g}" if self.learning_rate is not None else ""
        return f"{self.method.name}, fraction {self.fraction:g}, fold {self.fold}, seed {self.seed}{rate}"


def measured_runs(
    methods: Sequence[Method], fractions: Sequence[float], folds: Iterable[int], seeds: Sequence[int]
) -> list[Run]:
    """The runs, seed by seed, so that an interrupted grid has whole pairs; methods come after those that they need."""
    folds = list(folds)
    return [
        Run(method, fraction, fold, seed)
        for seed in seeds
        for fold in folds
        for fraction in fractions
        for method in methods
    ]
