"""The images of ``side_by_side.py``: four sets, some splits of each, read and split as the package does it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor

from dwskd_monai.data import load_split

BUNDLES = Path(__file__).parents[1] / "bundles"
SIZE = 96


@dataclass(frozen=True)
class Source:
    """A set of images and how they are read."""

    name: str
    train: Path
    test: Path
    fraction: float
    bundle: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    pool: Path | None = None
    """Further images without labels."""


@dataclass
class Pair:
    """The images of one set, fold and seed, by their rows in a tensor of all images; and their classes."""

    source: str
    fold: int
    seed: int
    classes: int
    labeled: list[int]
    labels: list[int]
    unlabeled: list[int]
    truth: list[int]
    """Of the first unlabeled images; those of a pool have none."""
    validation: list[int]
    validation_labels: list[int]
    test: list[int]
    test_labels: list[int]


def with_labels(pair: Pair, per_class: int) -> Pair:
    """The pair with that many labeled images of each class, drawn from all whose class is known; others have no label.

    Raises:
        ValueError: if a class has fewer images.
    """
    rows, classes = known(pair)
    order = np.random.default_rng([pair.fold, pair.seed]).permutation(len(rows))
    chosen = []
    for label in range(pair.classes):
        of_class = [place for place in order if classes[place] == label][:per_class]
        if len(of_class) < per_class:
            raise ValueError(f"{pair.source}: class {label} has {len(of_class)} images; {per_class} were to be labeled")
        chosen += of_class
    return divided(pair, chosen)


def known(pair: Pair) -> tuple[list[int], list[int]]:
    """The rows that labeled images are drawn from, and their classes."""
    return pair.labeled + pair.unlabeled[: len(pair.truth)], pair.labels + pair.truth


def divided(pair: Pair, places: Sequence[int]) -> Pair:
    """The pair with labels for the images at these places of :func:`known` ones, and for no others."""
    rows, classes = known(pair)
    others = sorted(set(range(len(rows))) - set(places))
    return replace(
        pair,
        labeled=[rows[place] for place in places],
        labels=[classes[place] for place in places],
        unlabeled=[rows[place] for place in others] + pair.unlabeled[len(pair.truth) :],
        truth=[classes[place] for place in others],
    )


class Reader:
    """Reads the images of one set; each becomes a row of ``images``.

    Args:
        source: the set.
        images: of the sets before it, ``(H, W)`` each; it grows.
    """

    def __init__(self, source: Source, images: list[np.ndarray]) -> None:
        self.source = source
        self.images = images
        self.transform, self.classes = _preprocessing(source)
        self._rows: dict[str, int] = {}

    def row(self, path: Path) -> int:
        """The row of an image."""
        key = str(path.resolve())
        if key not in self._rows:
            self._rows[key] = len(self.images)
            self.images.append(np.asarray(self.transform({"image": key})["image"]).reshape(SIZE, SIZE))
        return self._rows[key]

    def split(self, path: Path, name: str, **options: Any) -> dict[int, int]:
        """Rows and classes of a split."""
        items = load_split(path, self.classes, name, **options)
        return {self.row(Path(item["image"])): int(item["label"]) for item in items}

    def pair(self, fold: int, seed: int) -> Pair:
        """The images of one fold and seed."""
        source = self.source
        choice = {"folds": 2, "fold": fold, "seed": seed}
        labeled = self.split(source.train, "training", train_fraction=source.fraction, **choice)
        others = self.split(source.train, "training", **choice)
        others = {row: label for row, label in others.items() if row not in labeled}
        validation = self.split(source.train, "validation", **choice)
        tests = self.split(source.test, "all")
        pool = [] if source.pool is None else [self.row(path) for path in sorted(source.pool.glob("*.jpg"))[:1000]]
        return Pair(
            source=source.name,
            fold=fold,
            seed=seed,
            classes=len(self.classes),
            labeled=list(labeled),
            labels=list(labeled.values()),
            unlabeled=[*others, *pool],
            truth=list(others.values()),
            validation=list(validation),
            validation_labels=list(validation.values()),
            test=list(tests),
            test_labels=list(tests.values()),
        )


def read_pairs(sources: Sequence[Source], seeds: int) -> tuple[Tensor, list[Pair]]:
    """All images, ``(N, H, W)`` of 8 bits, and the pairs: two folds and ``seeds`` seeds of each set."""
    images: list[np.ndarray] = []
    readers = [Reader(source, images) for source in sources]
    pairs = [reader.pair(fold, seed) for reader in readers for seed in range(seeds) for fold in range(2)]
    return torch.from_numpy(np.round((np.stack(images) + 1) * 127.5).astype(np.uint8)), pairs


def sources(data: Path, few: Path) -> list[Source]:
    """The four sets; a third of the dermoscopy images is held out here, of the others by ``hold_out.py``."""
    dermoscopy = _gray_dermoscopy(data / "dermoscopy", few / "dermoscopy")
    return [
        Source("brain_mri", few / "brain_mri/train.csv", few / "brain_mri/test.csv", 0.1, "brain_mri_classification"),
        Source("chest_xray", few / "chest_xray/train.csv", few / "chest_xray/test.csv", 0.25,
               "chest_xray_classification"),
        Source(
            "lung_ct", data / "lung_ct/train", data / "lung_ct/val", 0.25, "lung_ct_classification",
            {"picture_range": [0, 255]}, data / "ct_pool",
        ),
        Source(
            "dermoscopy", dermoscopy / "train.csv", dermoscopy / "test.csv", 0.1, "chest_xray_classification",
            {"keep_aspect": True},
        ),
    ]  # fmt: skip


def _gray_dermoscopy(source: Path, out: Path, most: int = 4500) -> Path:
    """Gray copies of images of whole lesions, a third of the lesions held out: ``train.csv`` and ``test.csv``."""
    table = pd.read_csv(source / "datalist.csv")
    lesions = sorted(table["patient"].unique())
    np.random.default_rng(0).shuffle(lesions)
    sizes = table.groupby("patient").size().loc[lesions].cumsum()
    table = table[table["patient"].isin(sizes.index[sizes <= most])].reset_index(drop=True)
    (out / "images").mkdir(parents=True, exist_ok=True)
    for name in table["image"]:
        copy = out / "images" / f"{Path(name).stem}.png"
        if not copy.is_file():
            Image.open(source / name).convert("L").save(copy)
    splits = StratifiedGroupKFold(3, shuffle=True, random_state=0)
    parts = next(iter(splits.split(table, table["label"], table["patient"])))
    for name, part in zip(("train", "test"), parts):
        with (out / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "label", "patient"])
            for row in table.iloc[part].itertuples():
                writer.writerow([f"images/{Path(row.image).stem}.png", row.label, row.patient])
    return out


def _preprocessing(source: Source) -> tuple[Compose, Any]:
    """The deterministic transforms of a bundle, with intensities from -1 to 1, and the names of the classes."""
    configs = BUNDLES / source.bundle / "configs"
    parser = ConfigParser()
    parser.read_config(str(configs / "train.yaml"))
    parser.read_meta(str(configs / "metadata.json"))
    parser.update({"image_size": SIZE, "intensity_mean": 0.5, "intensity_std": 0.5, **source.overrides})
    classes = parser.get_parsed_content("class_names")
    if source.name == "dermoscopy":
        classes = sorted(pd.read_csv(source.train)["label"].unique())
    return Compose(parser.get_parsed_content("study_transforms")), classes
