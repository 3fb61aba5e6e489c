"""Slices of images as items: drawn at random for training, all of them for evaluation."""

from __future__ import annotations

import copy
import logging
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import monai.data
import numpy as np
from monai.transforms import Compose, Randomizable
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray
from torch.nn.functional import adaptive_avg_pool2d

from dwskd_monai.data.columns import SUBGROUPS
from dwskd_monai.data.file_properties import file_properties
from dwskd_monai.data.items import study_of
from dwskd_monai.data.labels import ClassNames, label_index
from dwskd_monai.data.refused import RefusedImages, raise_all
from dwskd_monai.data.store import ImageStore, KeptImage

_logger = logging.getLogger(__name__)


class SliceDataset(Randomizable, monai.data.Dataset):
    """Slices ``(C, H, W)`` of images that are read, resized and scaled once and kept.

    The transforms up to the first random one make an image's volume ``(C, D, H, W)``, which is kept on disk or in
    memory; the random ones and those after them see single slices. An item has ``image``, ``slice`` (its index in the
    study), ``slices`` (how many the study has), ``study``, ``study_index``, ``plane`` (``axial``, ``coronal``,
    ``sagittal`` or ``unknown``), and ``label`` if there is one.

    MONAI's ``CacheDataset`` and ``PersistentDataset`` have one item per file; see also
    :class:`~dwskd_monai.data.cache.ImageCache`.

    Args:
        data: items with ``image``, the path of a picture, volume or folder of a DICOM series, and optionally ``label``
            and ``study``, which is equal for the images of one examination.
        transform: deterministic transforms of images, then random transforms of slices.
        cache_dir: folder in which images are kept; None keeps them in memory.
        slices_per_study: how many slices are drawn from each image per epoch, at most as many as it has. The image is
            divided into this number of equal parts, and one slice is drawn from each (Wang et al., Temporal Segment
            Networks, arXiv 1608.00859, section 3.1). None: all slices, in order.
        min_slices: how many slices an epoch has at least. If the images have fewer, slices are drawn from all of them
            again, equally often from each, until there are as many.
        num_workers: how many images are read at a time.
        progress: whether to show a progress bar while images are read.
        class_names: names of the labels, or ``channel_def`` of the metadata, if labels are not indices but names or
            files (see :func:`~dwskd_monai.data.labels.label_index`).
        refused: the list of refused images, while the others are used; a study that lacks an image is left out. None: a
            refused image is an error.

    Raises:
        ValueError: if there is no item, a label is unknown, or images cannot be read. The message has each file and
            what is wrong with it; the other images are kept.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Compose,
        cache_dir: str | Path | None = None,
        slices_per_study: int | None = None,
        min_slices: int = 0,
        num_workers: int = 0,
        progress: bool = True,
        class_names: ClassNames | None = None,
        refused: RefusedImages | None = None,
    ) -> None:
        if not data:
            raise ValueError("no images: this split is empty; training and validation need one or more each")
        if slices_per_study is not None and slices_per_study < 1:
            raise ValueError(f"slices_per_study must be 1 or more, got {slices_per_study}")
        deterministic, random = _divided_at_the_first_random(transform)
        self._random = Compose(random)
        self._store = ImageStore(deterministic, cache_dir)
        if refused is not None:
            refused.begin()
        read = self._store.read_all(data, num_workers, progress)
        used = _used(data, read, refused)
        super().__init__([item for item, _ in used], transform)
        self.refused_count = len(data) - len(used)
        self._images = _in_studies(used, class_names)
        self._draws = slices_per_study is not None
        self._slots: list[_Slot] = []
        for image in self._images:
            length = image.kept.length
            count = length if slices_per_study is None else min(slices_per_study, length)
            self._slots += [_Slot(image, number, count) for number in range(count)]
        self.times = max(1, math.ceil(min_slices / len(self._slots)))
        """How often an epoch goes through the images."""
        if self.times > 1 and idist.get_rank() == 0:
            _logger.info("each epoch goes through the studies %d times, for min_steps", self.times)
        self._slots *= self.times

    def __len__(self) -> int:
        return len(self._slots)

    def contents(self) -> list[tuple[str, int | None]]:
        """The digest of the content of each image, and its label, in the order of ``data``."""
        digests = [self._store.digest_of(item[CommonKeys.IMAGE]) for item in self.data]
        return list(zip(digests, self.labels(), strict=True))

    def labels(self) -> list[int | None]:
        """The index of the class of each image, in the order of ``data``, which may have names or files instead."""
        return [image.known.get(CommonKeys.LABEL) for image in self._images]

    def patients(self) -> list[str | None]:
        """The patient of each study, by ``study_index``; None: unknown."""
        of_study: dict[int, str | None] = {}
        for item, image in zip(self.data, self._images, strict=True):
            number = image.known["study_index"]
            of_study[number] = of_study.get(number) or item.get("patient")
        return [of_study[number] for number in sorted(of_study)]

    def subgroups(self) -> dict[str, list[str | None]]:
        """The values of columns such as ``sex``, each by ``study_index``; None: unknown."""
        of_study: dict[int, dict[str, str]] = {}
        for item, image in zip(self.data, self._images, strict=True):
            values = {column: str(item[column]) for column in SUBGROUPS if column in item}
            of_study[image.known["study_index"]] = values | of_study.get(image.known["study_index"], {})
        columns = [column for column in SUBGROUPS if any(column in values for values in of_study.values())]
        return {column: [of_study[number].get(column) for number in sorted(of_study)] for column in columns}

    def file_properties(self) -> Mapping[str, Sequence[Sequence[float | str]]]:
        """The size, type and bit depth of the files of each study, and their scanner, by ``study_index``."""
        of_study: dict[int, list[str]] = {}
        for item, image in zip(self.data, self._images, strict=True):
            of_study.setdefault(image.known["study_index"], []).append(item[CommonKeys.IMAGE])
        return file_properties([of_study[number] for number in sorted(of_study)])

    def item_of(self, study_index: int, number: int) -> dict[str, Any]:
        """One slice of a study as an item, without random transforms.

        Args:
            study_index: of the study.
            number: index of the slice in the study.

        Raises:
            IndexError: if there is no such slice.
        """
        for image in self._images:
            place = number - image.first
            if image.known["study_index"] == study_index and 0 <= place < image.kept.length:
                pixels = self._store.slice_of(image.kept, place)
                return image.known | {CommonKeys.IMAGE: pixels, "slice": number}
        raise IndexError(f"study {study_index} has no slice {number}")

    def count_of(self, contents: Collection[str] | None) -> int | None:
        """How many images have one of these digests of their content; None if these are not known."""
        if contents is None:
            return None
        wanted = set(contents)
        return sum(digest in wanted for digest, _ in self.contents())

    def planes(self) -> dict[str, int]:
        """How many images were cut in each plane, the most frequent first."""
        return dict(Counter(image.kept.plane for image in self._images).most_common())

    def middle_slices(self, side: int) -> NDArray[np.float32]:
        """The middle slice ``(side, side)`` of each image, resized by area, in the order of ``data``."""
        thumbnails = []
        for image in self._images:
            middle = self._store.slice_of(image.kept, image.kept.length // 2)[:1]
            thumbnails.append(adaptive_avg_pool2d(middle, side)[0].numpy())
        return np.stack(thumbnails)

    def places(self) -> list[int]:
        """Of each item of an epoch, the place of its image in ``data``."""
        place_of = {id(image): place for place, image in enumerate(self._images)}
        return [place_of[id(slot.image)] for slot in self._slots]

    def only(self, places: Collection[int]) -> SliceDataset:
        """The same dataset with a part of its images, given by their places in ``data``."""
        part = copy.copy(self)
        part.data = [self.data[place] for place in places]
        part._images = [self._images[place] for place in places]
        kept = {id(image) for image in part._images}
        part._slots = [slot for slot in self._slots if id(slot.image) in kept]
        return part

    def without_augmentation(self, most: int) -> SliceDataset:
        """The same images without random transforms: all slices, or ``most`` of them, evenly spaced over all images."""
        plain = copy.copy(self)
        plain._random = Compose([])
        plain._draws = False
        plain.times = 1
        slots = []
        for image in self._images:
            slots += [_Slot(image, number, image.kept.length) for number in range(image.kept.length)]
        chosen = np.linspace(0, len(slots) - 1, min(most, len(slots))).round().astype(int)
        plain._slots = [slots[place] for place in chosen]
        return plain

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> SliceDataset:
        """Seed the choice of slices and the random transforms."""
        super().set_random_state(seed, state)
        self._random.set_random_state(seed, state)
        return self

    def _transform(self, index: int) -> Any:
        slot = self._slots[index]
        image = slot.image
        chosen = slot.number
        if self._draws:
            chosen = int((slot.number + self.R.random_sample()) / slot.count * image.kept.length)
        pixels = self._store.slice_of(image.kept, chosen)
        item = image.known | {CommonKeys.IMAGE: pixels, "slice": image.first + chosen}
        return self._random(item) if self._random.transforms else item


@dataclass(frozen=True)
class _ImageOfStudy:
    """An image, and its position in its study.

    Args:
        kept: the image.
        first: index of its first slice in the study.
        known: keys and values that all its items have.
    """

    kept: KeptImage
    first: int
    known: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Slot:
    """The slice of an item: in evaluation the slice with this number, in training one from the part with this number.

    Args:
        image: its image.
        number: from 0.
        count: how many slots the image has.
    """

    image: _ImageOfStudy
    number: int
    count: int


def _divided_at_the_first_random(transform: Compose) -> tuple[list[Any], list[Any]]:
    transforms = list(transform.flatten().transforms)
    for number, one in enumerate(transforms):
        if isinstance(one, Randomizable):
            return transforms[:number], transforms[number:]
    return transforms, []


def _used(
    items: Sequence[Mapping[str, Any]], read: Sequence[KeptImage | BaseException], refused: RefusedImages | None
) -> list[tuple[Mapping[str, Any], KeptImage]]:
    """The images of studies that were read completely; the others are listed as refused, or raised."""
    failures = [result for result in read if isinstance(result, BaseException)]
    if refused is None:
        raise_all(failures, len(items))
    used: list[tuple[Mapping[str, Any], KeptImage]] = []
    lacking = {study_of(item) for item, result in zip(items, read, strict=True) if isinstance(result, BaseException)}
    for rank, (item, result) in enumerate(zip(items, read, strict=True)):
        study = study_of(item)
        if not isinstance(result, BaseException) and study not in lacking:
            used.append((item, result))
        elif refused is not None and isinstance(result, BaseException):
            refused.add(result, item, rank)
        elif refused is not None:
            refused.add_companions(study, [(rank, item)])
    if refused is not None and not used:
        refused.keep()
        raise_all(failures, len(items))
    return used


def _in_studies(
    used: Sequence[tuple[Mapping[str, Any], KeptImage]], class_names: ClassNames | None
) -> list[_ImageOfStudy]:
    """Images with their positions: the slices of a study are numbered consecutively, in the order of the items."""
    images: list[_ImageOfStudy] = []
    numbers: dict[str, int] = {}
    slices: Counter[str] = Counter()
    for item, image in used:
        study = study_of(item)
        known: dict[str, Any] = {"study": study, "study_index": numbers.setdefault(study, len(numbers))}
        known["plane"] = image.plane
        if CommonKeys.LABEL in item:
            label = item[CommonKeys.LABEL]
            known[CommonKeys.LABEL] = label if class_names is None else label_index(label, class_names, study)
        images.append(_ImageOfStudy(image, slices[study], known))
        slices[study] += image.length
    for image_of_study in images:
        image_of_study.known["slices"] = slices[image_of_study.known["study"]]
    if slices.total() > len(images):
        _logger.info("%d slices of %d studies", slices.total(), len(numbers))
    return images
