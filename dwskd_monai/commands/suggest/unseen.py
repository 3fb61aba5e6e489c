"""Labeled studies that a network may judge: it was not trained on them, nor on copies of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dwskd_monai.commands.suggest.judges import Judges
from dwskd_monai.commands.suggest.known import copies_of
from dwskd_monai.data.evaluation_split import digests_of
from dwskd_monai.data.items import study_of
from dwskd_monai.data.near_copies import SIDE, near_copies
from dwskd_monai.data.refused import RefusedImages
from dwskd_monai.data.slices import SliceDataset

_logger = logging.getLogger(__name__)
Item = Mapping[str, Any]


@dataclass(frozen=True)
class TrainingImages:
    """The images that a network was trained on.

    Args:
        contents: digests of their contents, also of images of the networks that its training started from.
        count: how many there are, without the latter.
        found: how many of these are among the labeled images.
    """

    contents: frozenset[str]
    count: int
    found: int


@dataclass(frozen=True)
class Divided:
    """Labeled studies, divided by what a network was trained on.

    Args:
        unseen: all slices of the studies that it was not trained on.
        seen: names of the other studies.
    """

    unseen: SliceDataset
    seen: set[str]


def find_training_images(judges: Judges, items: Sequence[Item], source: str) -> TrainingImages:
    """The images that a bundle's network was trained on, and how many of them are among labeled images.

    Images are found by their contents. Those that were saved again, or are other files than at the training, are not
    found, and the network remembers their labels all the same; so a warning says how many are missing.

    Args:
        judges: the bundle.
        items: all labeled images.
        source: of these, for messages.

    Raises:
        ValueError: if it is not known which images these are, or none is there.
    """
    images = judges.trained.settings.images
    training, earlier = images["training"], images["earlier"]
    if not training or earlier is None:
        raise ValueError(
            f"audit: {judges.weights} does not record all images that it was trained on, so no label can be judged by "
            "it; train with the bundle, from networks whose settings are known"
        )
    wanted = set(training)
    found = len(wanted & set(digests_of(items, judges.setting("cache_dir", "train"))))
    if not found:
        raise ValueError(
            f"dataset_dir: {source} has none of the {len(wanted)} images that {judges.weights} was trained on, so it "
            "is unknown which labels it remembers; give the images of the training, in the files that it read: "
            "--dataset_dir DIR"
        )
    if found < len(wanted):
        _logger.warning(
            "dataset_dir: %s has %d of the %d images that %s was trained on; if the others are there in other files, "
            "its network judges labels that it remembers", source, found, len(wanted), judges.weights,
        )  # fmt: skip
    return TrainingImages(frozenset(wanted.union(earlier)), len(wanted), found)


def divide(judges: Judges, training: TrainingImages, items: Sequence[Item], refused: RefusedImages) -> Divided:
    """The labeled studies, divided into those that a bundle's network was trained on, and the others.

    The first have an image that it was trained on, or a near copy of one: resized, compressed again, mirrored, turned.

    Args:
        judges: the bundle.
        training: the images that its network was trained on. One that it learned from without a label does not count.
        items: all labeled images.
        refused: the list of images that cannot be used.

    Raises:
        ValueError: if no image can be used.
    """
    images = judges.read(items, refused)
    trained = {place for place, (digest, _) in enumerate(images.contents()) if digest in training.contents}
    copies = copies_of(trained, near_copies(images.middle_slices(SIDE)))
    seen = {study_of(images.data[place]) for place in trained | copies}
    return Divided(images.only([place for place, item in enumerate(images.data) if study_of(item) not in seen]), seen)
