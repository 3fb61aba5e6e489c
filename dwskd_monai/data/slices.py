"""Slices of studies as items: drawn at random for training, all of them for evaluation, streamed for inference."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import monai.data
import numpy as np
import torch
from monai.transforms import Compose, Randomizable
from monai.utils.enums import CommonKeys
from torch import Tensor
from tqdm import tqdm

from dwskd_monai.arguments import optional
from dwskd_monai.data.cache import StudyCache
from dwskd_monai.data.labels import ClassNames, label_index

_MOST_ERRORS = 10
_logger = logging.getLogger(__name__)


class SliceDataset(Randomizable, monai.data.Dataset):
    """Slices ``(C, H, W)`` of studies that are read, resized and scaled once and kept.

    The transforms up to the first random one make a study's volume ``(C, D, H, W)``, which is kept on disk or in
    memory; the others see single slices. An item has ``image``, ``slice`` (its index in the study), ``slices`` (how
    many the study has), ``study``, ``study_index``, and ``label`` where there is one.

    MONAI's ``CacheDataset`` and ``PersistentDataset`` have one item per file; see also
    :class:`~dwskd_monai.data.cache.StudyCache`.

    Args:
        data: items with ``image``, the path of a picture, volume or folder of a DICOM series, and optionally ``label``
            and ``study``, equal for the images of one examination.
        transform: deterministic transforms of studies, then random transforms of slices.
        cache_dir: folder of the kept studies; None keeps them in memory.
        slices_per_study: slices drawn from each image per epoch, one from each of as many equal parts of it (Wang et
            al., Temporal Segment Networks, arXiv 1608.00859, section 3.1); no more than it has. None: all, in order.
        num_workers: studies that are read at a time.
        progress: whether to show a progress bar while studies are read.
        class_names: names of the labels, or metadata's ``channel_def``, where labels are not indices but names or
            files (see :func:`~dwskd_monai.data.labels.label_index`).

    Raises:
        ValueError: if there is no item, a label is unknown, or studies cannot be read, with each file and what is
            wrong; those that can be are kept.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Compose,
        cache_dir: str | Path | None = None,
        slices_per_study: int | None = None,
        num_workers: int = 0,
        progress: bool = True,
        class_names: ClassNames | None = None,
    ) -> None:
        if not data:
            raise ValueError("no images: this split is empty; training and validation need one or more each")
        if slices_per_study is not None and slices_per_study < 1:
            raise ValueError(f"slices_per_study must be 1 or more, got {slices_per_study}")
        super().__init__(list(data), transform)
        transforms = transform.flatten().transforms
        first_random = next((i for i, one in enumerate(transforms) if isinstance(one, Randomizable)), len(transforms))
        self._deterministic = Compose(transforms[:first_random])
        self._random = Compose(transforms[first_random:])
        cache_dir = optional(cache_dir)
        self._cache = StudyCache(cache_dir, transforms[:first_random]) if cache_dir is not None else None
        self._draws = slices_per_study is not None
        self._images: list[_Image] = []
        self._slots: list[tuple[int, int, int]] = []  # image, slot, number of the image's slots
        numbers: dict[str, int] = {}
        slices = Counter[str]()
        for item, (kept, length) in zip(self.data, self._read_all(num_workers, progress)):
            study = _study_of(item)
            known: dict[str, Any] = {"study": study, "study_index": numbers.setdefault(study, len(numbers))}
            if CommonKeys.LABEL in item:
                label = item[CommonKeys.LABEL]
                known[CommonKeys.LABEL] = label if class_names is None else label_index(label, class_names, study)
            slots = length if slices_per_study is None else min(slices_per_study, length)
            self._slots += [(len(self._images), slot, slots) for slot in range(slots)]
            self._images.append(_Image(kept, length, slices[study], known))
            slices[study] += length
        for image in self._images:
            image.known["slices"] = slices[image.known["study"]]
        if slices.total() > len(self._images):
            _logger.info("%d slices of %d studies", slices.total(), len(numbers))

    def _read_all(self, num_workers: int, progress: bool) -> list[tuple[Path | Tensor, int]]:
        """Each image as it is kept, and how many slices it has; several processes share the work."""
        progress = progress and idist.get_rank() == 0
        if self._cache is not None and idist.get_world_size() > 1:
            self._read(self.data[idist.get_rank() :: idist.get_world_size()], num_workers, progress)
            idist.barrier()
        return self._read(self.data, num_workers, progress)

    def _read(
        self, data: Sequence[Mapping[str, Any]], num_workers: int, progress: bool
    ) -> list[tuple[Path | Tensor, int]]:
        results: list[tuple[Path | Tensor, int]] = []
        failures: list[BaseException] = []
        bar = tqdm(total=len(data), desc="reading studies", disable=not progress)
        with bar, ThreadPoolExecutor(max(1, num_workers)) as pool:
            for result in pool.map(self._attempt, data):
                if isinstance(result, BaseException):
                    failures.append(result)
                else:
                    results.append(result)
                bar.update()
                if len(failures) == _MOST_ERRORS:
                    pool.shutdown(cancel_futures=True)
                    break
        if self._cache is not None:
            self._cache.save_index()
        if len(failures) == 1:
            raise failures[0]
        if failures:
            shown = "\n".join(f"- {failure}" for failure in failures)
            seen = len(failures) + len(results)
            raise ValueError(f"{len(failures)} of the first {seen} studies cannot be read:\n{shown}") from failures[0]
        return results

    def _attempt(self, item: Mapping[str, Any]) -> tuple[Path | Tensor, int] | BaseException:
        """An error is a result too, so that all broken studies are named at once and the others are kept."""
        try:
            return self._keep(item)
        except (ValueError, OSError, RuntimeError) as error:
            return _cause(error)

    def _keep(self, item: Mapping[str, Any]) -> tuple[Path | Tensor, int]:
        if self._cache is None:
            volume = volume_of(self._deterministic, item)
            return volume, volume.shape[1]
        path = self._cache.path_of(item[CommonKeys.IMAGE])
        length = self._cache.length(path)
        if length is None:
            volume = volume_of(self._deterministic, item)
            self._cache.save(path, volume)
            length = volume.shape[1]
        return path, length

    def __len__(self) -> int:
        return len(self._slots)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> SliceDataset:
        """Seed the choice of slices and the random transforms."""
        super().set_random_state(seed, state)
        self._random.set_random_state(seed, state)
        return self

    def _transform(self, index: int) -> Any:
        number, slot, slots = self._slots[index]
        image = self._images[number]
        chosen = int((slot + self.R.random_sample()) / slots * image.length) if self._draws else slot
        if isinstance(image.kept, Tensor):
            pixels = image.kept[:, chosen].clone()
        else:
            assert self._cache is not None
            pixels = self._cache.slice_of(image.kept, chosen)
        item = image.known | {CommonKeys.IMAGE: pixels, "slice": image.first + chosen}
        return self._random(item) if self._random.transforms else item


@dataclass(frozen=True)
class _Image:
    """An image that was read.

    Args:
        kept: its volume ``(C, D, H, W)``, or the cache's entry.
        length: its number of slices D.
        first: index of its first slice in the study.
        known: keys and values that all its items have.
    """

    kept: Path | Tensor
    length: int
    first: int
    known: dict[str, Any]


class SliceStream(monai.data.IterableDataset):
    """All slices ``(C, H, W)`` of one image after the other, which is read, passed on and forgotten.

    For inference: memory holds one image per worker process, however many there are. Images of one study follow each
    other, in one process; the slices of a study are numbered through as in :class:`SliceDataset`. Items have ``image``,
    ``slice``, ``slices`` and ``study``; ``slices``, the number of the study's slices, is 0 as long as it is not known,
    until the slices of the study's last image.

    Args:
        data: items with ``image`` and, optionally, ``study``, equal for the images of one examination.
        transform: deterministic transforms that make volumes ``(C, D, H, W)``.
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], transform: Compose) -> None:
        studies: dict[str, list[Mapping[str, Any]]] = {}
        for item in data:
            studies.setdefault(_study_of(item), []).append(item)
        super().__init__(list(studies.items()))  # whole studies are shared out among worker processes
        self._deterministic = transform

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for study, items in super().__iter__():
            first = 0
            for number, item in enumerate(items, 1):
                volume = self._read(item)
                after = first + volume.shape[1]
                count = after if number == len(items) else 0
                for index in range(first, after):
                    pixels = volume[:, index - first]
                    yield {CommonKeys.IMAGE: pixels, "slice": index, "slices": count, "study": study}
                    del pixels
                first = after
                del volume  # before the next one is read

    def _read(self, item: Mapping[str, Any]) -> Tensor:
        try:
            return volume_of(self._deterministic, item)
        except RuntimeError as error:
            raise _cause(error) from error


def _study_of(item: Mapping[str, Any]) -> str:
    """The study of an item; an image without one is a study of its own."""
    return str(item.get("study", item[CommonKeys.IMAGE]))


def volume_of(transform: Compose, item: Mapping[str, Any]) -> Tensor:
    """The volume ``(C, D, H, W)`` that deterministic transforms make of an item."""
    volume = torch.as_tensor(transform(dict(item))[CommonKeys.IMAGE])
    if volume.ndim != 4:
        raise ValueError(
            f"{item[CommonKeys.IMAGE]}: expected (C, D, H, W) after preprocessing, got {tuple(volume.shape)}"
        )
    return volume


def _cause(error: BaseException) -> BaseException:
    """What a transform raised, without MONAI's "applying transform …" around it."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error
