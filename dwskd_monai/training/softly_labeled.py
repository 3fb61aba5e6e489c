"""Slices of images with labels and, once there are soft labels, of images without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from monai.data.utils import set_rnd
from monai.handlers import from_engine
from monai.transforms import Randomizable
from monai.utils.enums import CommonKeys
from torch import Tensor
from torch.utils.data import Dataset

SOFT_LABEL = "soft_label"  # of an item: (C,), probabilities
NO_LABEL = -100  # of an image without a label; torch's losses ignore it


class Slices(Protocol):
    """A dataset of slices that knows from which image each one is."""

    data: Sequence[Any]
    times: int
    """How often an epoch goes through the images."""

    def __len__(self) -> int:
        """Slices of an epoch."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        """A slice."""

    def places(self) -> list[int]:
        """Of each slice, the place of its image in ``data``."""

    def labels(self) -> list[int | None]:
        """The class of each image; None without a label."""

    def contents(self) -> list[tuple[str, int | None]]:
        """The digest of the content of each image, and its label."""


class SoftlyLabeledSlices(Randomizable, Dataset):
    """Labeled slices; once there are soft labels, slices of labeled and unlabeled images with them.

    Before, an epoch is that of the labeled slices. Then it has as many items, but an item is a labeled slice only with
    the probability ``labeled_share``, and otherwise a slice of any image, with or without a label. Items then also have
    ``soft_label``, and ``label`` is :data:`NO_LABEL` for images without one.

    Args:
        labeled: slices of images with labels.
        unlabeled: slices of images without labels; None: soft labels are learned on the labeled images alone.
        labeled_share: in (0, 1]; less than 1 if there are unlabeled images.
    """

    def __init__(self, labeled: Slices, unlabeled: Slices | None = None, labeled_share: float = 0.5) -> None:
        if not 0 < labeled_share <= 1:
            raise ValueError(f"labeled_share must be greater than 0, and at most 1; got {labeled_share}")
        if labeled_share == 1 and unlabeled is not None:
            raise ValueError(
                "labeled_share: 1 leaves out all images of unlabeled_dir; give a smaller share, or no unlabeled_dir"
            )
        self.labeled = labeled
        self.unlabeled = unlabeled
        self.labeled_share = labeled_share
        self.soft_labels: Tensor | None = None
        self._labeled_places = labeled.places()
        self.every_slice = EverySlice(labeled, unlabeled)

    def __len__(self) -> int:
        return len(self.labeled)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if self.soft_labels is None:
            return self.labeled[index]
        if self.R.random_sample() < self.labeled_share:
            item, place = self.labeled[index], self._labeled_places[index]
        else:
            item, place = self.every_slice.item_and_place(self.R.randint(len(self.every_slice)))
        return {CommonKeys.LABEL: NO_LABEL, **item, SOFT_LABEL: self.soft_labels[place]}

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> SoftlyLabeledSlices:
        """Seed the choice of slices, and the slices' own random states; those of ``labeled`` as if it were alone."""
        super().set_random_state(seed, state)
        self.every_slice.set_random_state(seed, state)
        return self


class EverySlice(Randomizable, Dataset):
    """Each slice of labeled and unlabeled images once; an item has ``image``, and ``place``, that of its image.

    Args:
        labeled: if an epoch of these goes through the images several times, the first one counts.
        unlabeled: their images come after those of ``labeled``.
    """

    def __init__(self, labeled: Slices, unlabeled: Slices | None) -> None:
        self.labeled_count = len(labeled.data)
        self.images = self.labeled_count + (0 if unlabeled is None else len(unlabeled.data))
        self._datasets = [each for each in (labeled, unlabeled) if each is not None]
        self._slots = [(0, index, place) for index, place in _once(labeled)]
        if unlabeled is not None:
            self._slots += [(1, index, self.labeled_count + place) for index, place in _once(unlabeled)]

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item, place = self.item_and_place(index)
        return {CommonKeys.IMAGE: item[CommonKeys.IMAGE], "place": place}

    def item_and_place(self, index: int) -> tuple[dict[str, Any], int]:
        """A slice with all its keys, and the place of its image."""
        dataset, number, place = self._slots[index]
        return self._datasets[dataset][number], place

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> EverySlice:
        """Seed the slices' own random states; those of ``labeled`` as if it were alone."""
        super().set_random_state(seed, state)
        drawn = self.R.randint(2**31)
        for dataset, own in zip(self._datasets, (drawn if seed is None else seed, drawn)):
            set_rnd(dataset, own)
        return self


def from_labeled(keys: Sequence[str]) -> Callable[[Any], Any]:
    """Values of a training's output for its metrics, as :func:`monai.handlers.from_engine` takes them.

    Images without a label are left out; a batch may have no other.

    Args:
        keys: of the values.
    """
    take = from_engine(list(keys))

    def take_labeled(output: Sequence[dict[str, Any]]) -> Any:
        labeled = [item for item in output if int(item[CommonKeys.LABEL]) != NO_LABEL]
        return take(labeled) if labeled else tuple([] for _ in keys)

    return take_labeled


def _once(slices: Slices) -> list[tuple[int, int]]:
    """Index and place of each slice of an epoch that goes through the images once."""
    places = slices.places()
    return list(enumerate(places[: len(places) // slices.times]))
