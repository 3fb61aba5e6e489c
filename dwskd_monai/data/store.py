"""Images that are read, resized and scaled once, and kept: on disk, or in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from monai.transforms import Compose
from monai.utils.enums import CommonKeys
from torch import Tensor
from tqdm import tqdm

from dwskd_monai.data.cache import ImageCache, digest_of
from dwskd_monai.data.items import PreparedImage, is_refusal, read_prepared


@dataclass(frozen=True)
class KeptImage:
    """An image that was read.

    Args:
        place: its volume ``(C, D, H, W)``, or the path of its entry in the cache.
        length: its number of slices D.
        plane: in which they were cut: ``axial``, ``coronal``, ``sagittal`` or ``unknown``.
    """

    place: Path | Tensor
    length: int
    plane: str


class ImageStore:
    """Images after the deterministic transforms.

    Args:
        transforms: they make an image's volume ``(C, D, H, W)``.
        cache_dir: folder of an :class:`~dwskd_monai.data.cache.ImageCache`; None keeps the volumes in memory.
    """

    def __init__(self, transforms: Sequence[Any], cache_dir: str | Path | None) -> None:
        self._transform = Compose(transforms)
        self._cache = None if cache_dir is None else ImageCache(cache_dir, transforms)

    def read_all(
        self, items: Sequence[Mapping[str, Any]], num_workers: int, progress: bool
    ) -> list[KeptImage | BaseException]:
        """All images in order, or what is wrong with them; if there is a cache, several processes share the work.

        Args:
            items: with ``image``.
            num_workers: how many images are read at a time.
            progress: whether to show a progress bar.
        """
        progress = progress and idist.get_rank() == 0
        # ITK changes the working directory while it loads a part of itself; relative paths of other threads then fail
        items = [{**item, CommonKeys.IMAGE: os.path.abspath(item[CommonKeys.IMAGE])} for item in items]
        if self._cache is not None and idist.get_world_size() > 1:
            self._read(items[idist.get_rank() :: idist.get_world_size()], num_workers, progress)
            idist.barrier()
        return self._read(items, num_workers, progress)

    def slice_of(self, image: KeptImage, index: int) -> Tensor:
        """One slice ``(C, H, W)``."""
        if isinstance(image.place, Tensor):
            return image.place[:, index].clone()
        assert self._cache is not None
        return self._cache.slice_of(image.place, index)

    def digest_of(self, image: str) -> str:
        """Digest of the content of an image's files."""
        return digest_of(image) if self._cache is None else self._cache.digest_of(image)

    def _read(
        self, items: Sequence[Mapping[str, Any]], num_workers: int, progress: bool
    ) -> list[KeptImage | BaseException]:
        images: list[KeptImage | BaseException] = []
        bar = tqdm(total=len(items), desc="reading images", disable=None if progress else True)
        with bar, ThreadPoolExecutor(max(1, num_workers)) as pool:
            for result in pool.map(self._attempt, items):
                images.append(result)
                bar.update()
        if self._cache is not None:
            self._cache.save_index()
        return images

    def _attempt(self, item: Mapping[str, Any]) -> KeptImage | BaseException:
        """Read an image; an error is a result too, so that all broken images are named and the others are kept."""
        path = None
        try:
            if self._cache is not None:
                path = self._cache.path_of(item[CommonKeys.IMAGE])
                known = self._cache.length_and_plane(path)
                if known is not None:
                    return KeptImage(path, *known)
            image = read_prepared(self._transform, item)
        except (ValueError, OSError) as error:
            if not is_refusal(error):
                raise
            return error
        return self._kept(path, image)

    def _kept(self, path: Path | None, image: PreparedImage) -> KeptImage:
        """An image in memory or in the cache; errors here are not the fault of the image."""
        length = image.volume.shape[1]
        if self._cache is None or path is None:
            return KeptImage(image.volume, length, image.plane)
        self._cache.save(path, image)
        return KeptImage(path, length, image.plane)
