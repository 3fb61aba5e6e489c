"""Images that are copies of others."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from dwskd_monai.data.cache import digest_of, files_of

_SAMPLE = 4096  # bytes at the start and in the middle of a file


def copies(paths: Sequence[Path]) -> dict[int, int]:
    """The first image with the same content, for each image that has a copy; both by their places among the paths.

    Only files with the same size and the same first bytes are read as a whole; in a dataset without copies, few are.
    Empty files, and those that cannot be read, do not count as copies: reading them says what is wrong.

    Args:
        paths: of files, or of folders with a DICOM series.
    """
    groups = [list(range(len(paths)))]
    traits: tuple[Callable[[Path], Hashable], ...] = (_sizes, _samples, digest_of)
    for trait in traits:
        groups = [same for group in groups for same in _divided(group, paths, trait)]
    return {index: group[0] for group in groups for index in group}


def _divided(group: Sequence[int], paths: Sequence[Path], trait: Callable[[Path], Hashable]) -> list[list[int]]:
    """Parts of a group of images in which a trait is the same; only parts of several images."""
    parts: dict[Hashable, list[int]] = defaultdict(list)
    for index in group:
        try:
            value = trait(paths[index])
        except OSError:
            continue
        if value is not None:
            parts[value].append(index)
    return [part for part in parts.values() if len(part) > 1]


def _sizes(image: Path) -> Hashable:
    sizes = sorted(file.stat().st_size for file in files_of(image))
    return tuple(sizes) if any(sizes) else None


def _samples(image: Path) -> Hashable:
    """A digest of a few bytes of each file; like that of the whole content, it does not depend on the files' order."""
    digests = []
    for path in files_of(image):
        with path.open("rb") as file:
            start = file.read(_SAMPLE)
            file.seek(os.fstat(file.fileno()).st_size // 2)
            digests.append(hashlib.blake2b(start + file.read(_SAMPLE), digest_size=16).digest())
    return tuple(sorted(digests))
