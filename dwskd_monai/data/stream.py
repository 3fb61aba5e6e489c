"""Slices of images that are streamed, for inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import monai.data
from monai.transforms import Compose
from monai.utils.enums import CommonKeys

from dwskd_monai.data.items import PreparedImage, is_refusal, read_prepared, study_of
from dwskd_monai.data.refused import RefusedImages


class SliceStream(monai.data.IterableDataset):
    """All slices ``(C, H, W)`` of one study after the other; each study is read, passed on and forgotten.

    For inference: each worker process has one study in memory, however many studies there are. The slices of a study
    are numbered consecutively, as in :class:`~dwskd_monai.data.slices.SliceDataset`. Items have ``image``, ``slice``,
    ``slices`` (the number of the study's slices), ``study``, ``study_index`` and ``plane``.

    Args:
        data: items with ``image`` and, optionally, ``study``, which is equal for the images of one examination.
        transform: deterministic transforms that make volumes ``(C, D, H, W)``.
        refused: the list of refused images, while the stream goes on; None: the first refused image is raised. A study
            that lacks an image is not passed on.
    """

    def __init__(
        self, data: Sequence[Mapping[str, Any]], transform: Compose, refused: RefusedImages | None = None
    ) -> None:
        numbered: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
        for rank, item in enumerate(data):
            numbered.setdefault(study_of(item), []).append((rank, item))
        super().__init__(list(enumerate(numbered.items())))  # worker processes share out whole studies
        self._deterministic = transform
        self._refused = refused
        if refused is not None:
            refused.begin()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number, (study, items) in super().__iter__():
            yield from _slices_of({"study": study, "study_index": number}, self._read(study, items))

    def _read(self, study: str, items: Sequence[tuple[int, Mapping[str, Any]]]) -> list[PreparedImage]:
        """The images of a study; none if one is refused."""
        read: list[tuple[int, Mapping[str, Any], PreparedImage]] = []
        failed = False
        for rank, item in items:
            try:
                read.append((rank, item, read_prepared(self._deterministic, item)))
            except (ValueError, OSError) as error:
                if self._refused is None or not is_refusal(error):
                    raise
                self._refused.add(error, item, rank)
                failed = True
        if not failed:
            return [image for _, _, image in read]
        if self._refused is not None:
            self._refused.add_companions(study, [(rank, item) for rank, item, _ in read])
        return []


def _slices_of(study: Mapping[str, Any], images: Sequence[PreparedImage]) -> Iterator[dict[str, Any]]:
    """The slices of a study's images, numbered consecutively. The images are released after the last slice."""
    count = sum(image.volume.shape[1] for image in images)
    slices = ((pixels, image.plane) for image in images for pixels in image.volume.unbind(1))
    for index, (pixels, plane) in enumerate(slices):
        yield {CommonKeys.IMAGE: pixels, "slice": index, "slices": count, "plane": plane, **study}
