"""The grid: which runs there are, where their files lie and what each is run with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dwskd_monai.commands.compare.methods import Method


@dataclass(frozen=True)
class Cell:
    """One run: a method on a share of one fold's training images, with one seed.

    Runs that differ in the method alone are a pair: they have the same images, order and augmentation.

    Args:
        method: what is run.
        fraction: share of the training images.
        fold: number of the validation fold.
        seed: of folds, subset, initialisation and order.
        learning_rate: peak of the schedule; None: the config's.
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
        """Where its files lie, below the folder of the results."""
        folder = self.beside(self.method.name)
        return Path("tuning", *folder.parts[1:], f"lr{self.learning_rate:g}") if self.tuning else folder

    def beside(self, method: str) -> Path:
        """Folder of another method's run on the same images with the same seed."""
        return Path("runs", method, f"{self.fraction:g}", f"fold{self.fold}_seed{self.seed}")

    def __str__(self) -> str:
        rate = f", learning rate {self.learning_rate:g}" if self.learning_rate is not None else ""
        return f"{self.method.name}, fraction {self.fraction:g}, fold {self.fold}, seed {self.seed}{rate}"


@dataclass(frozen=True)
class Setting:
    """What all cells of a grid share.

    Args:
        bundle: folder of the bundle.
        dataset_dir: training and validation images.
        out: folder of the results.
        folds: number of folds; None: the config's own, or the data's own validation images.
        demo: apply demo.yaml.
        test_dir: labelled images that each run is evaluated on once, at its end.
        overrides: ids of the config and values, for all methods; ``ID@FRACTION`` for one fraction alone.
        kept: methods whose best network is kept when a run is finished.
        data_hash: of the images and their labels.
        test_hash: of the images of ``test_dir``.
    """

    bundle: Path
    dataset_dir: Path
    out: Path
    folds: int | None = None
    demo: bool = False
    test_dir: Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict, hash=False)
    kept: frozenset[str] = frozenset()
    data_hash: str = ""
    test_hash: str = ""

    def configs(self, method: Method, *more: str) -> list[str]:
        """Files that a method is run with."""
        names = [*method.configs, *(["demo.yaml"] if self.demo else []), *more]
        return [str(self.bundle / "configs" / name) for name in names]

    def overrides_of(self, cell: Cell) -> dict[str, Any]:
        """What a cell changes in the config, beside its method."""
        common = {key: value for key, value in self.overrides.items() if "@" not in key}
        special = {
            key.partition("@")[0]: value
            for key, value in self.overrides.items()
            if "@" in key and float(key.partition("@")[2]) == cell.fraction
        }
        own: dict[str, Any] = {"seed": cell.seed, "fold": cell.fold, "train_fraction": cell.fraction}
        if self.folds is not None:
            own["folds"] = self.folds
        if cell.learning_rate is not None:
            own["learning_rate"] = cell.learning_rate
        return common | special | own | {"dataset_dir": str(self.dataset_dir)}

    def identity(self, cell: Cell) -> dict[str, Any]:
        """What a finished run must have been made from to be taken for this cell's."""
        return {
            "configs": {Path(name).name: _digest(name) for name in self.configs(cell.method)},
            "bundle": self.bundle.name,
            "method": dict(cell.method.overrides),
            "overrides": {key: value for key, value in self.overrides_of(cell).items() if key != "dataset_dir"},
            "data": self.data_hash,
            "test": "" if cell.tuning else self.test_hash,
        }


def _digest(path: str) -> str:
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=8).hexdigest()


def measured_cells(
    methods: Sequence[Method], fractions: Sequence[float], folds: Iterable[int], seeds: Sequence[int]
) -> list[Cell]:
    """Seeds first, so that a grid that is interrupted has whole pairs; a method comes after the one that it needs."""
    folds = list(folds)
    return [
        Cell(m, fraction, fold, seed) for seed in seeds for fold in folds for fraction in fractions for m in methods
    ]


def refuse_other_settings(folder: Path, identity: Mapping[str, Any]) -> None:
    """Raise where a folder holds work that was done with other settings.

    Raises:
        ValueError: the message names what differs.
    """
    path = folder / "settings.json"
    if not path.is_file() or (not any(folder.glob("*.pt")) and not (folder / "result.json").is_file()):
        return
    found, expected = json.loads(path.read_text()), json.loads(json.dumps(identity))
    for part in expected:
        if found.get(part) == expected[part]:
            continue
        ours, theirs = expected[part], found.get(part)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            part = next(key for key in [*ours, *theirs] if ours.get(key) != theirs.get(key))
            ours, theirs = ours.get(part, "nothing"), theirs.get(part, "nothing")
        raise ValueError(
            f"{folder}: was run with other settings: {part} was {theirs}, now it is {ours}; give another --out, or "
            "remove that folder to run it again"
        )
