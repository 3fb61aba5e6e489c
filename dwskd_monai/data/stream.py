"""Slices of images that are streamed, for inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import monai.data
from monai.transforms import Compose
from monai.utils.enums import CommonKeys
from torch import Tensor

from dwskd_monai.data.items import study_of, volume_of, without_wrapping

_COUNT_UNKNOWN = 0


class SliceStream(monai.data.IterableDataset):
    """All slices ``(C, H, W)`` of one image after the other, which is read, passed on and forgotten.

    For inference: memory holds one image per worker process, however many there are. Images of one study follow each
    other, in one process. The slices of a study are numbered through, as in
    :class:`~dwskd_monai.data.slices.SliceDataset`. Items have ``image``, ``slice``, ``study`` and
    ``slices``: the number of the study's slices, which is 0 until it is known, with the slices of the study's last
    image.

    Args:
        data: items with ``image`` and, optionally, ``study``, equal for the images of one examination.
        transform: deterministic transforms that make volumes ``(C, D, H, W)``.
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], transform: Compose) -> None:
        studies: dict[str, list[Mapping[str, Any]]] = {}
        for item in data:
            studies.setdefault(study_of(item), []).append(item)
        super().__init__(list(studies.items()))  # whole studies are shared out among worker processes
        self._deterministic = transform

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for study, items in super().__iter__():
            first = 0
            for number, item in enumerate(items, 1):
                volume = self._read(item)
                after = first + volume.shape[1]
                count = after if number == len(items) else _COUNT_UNKNOWN
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
            raise without_wrapping(error) from error
