"""Which folders are patients, where there are no classes to find them by: among images without labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.utils.enums import CommonKeys

from dwskd_monai.data.columns import SPLIT_NAMES


def folders_of(image: Path, root: Path, class_names: Collection[str]) -> list[Path]:
    """The folders from a root to an image, without those that are named like a split or a class; the outer one first.

    There are none if the root is not a folder.
    """
    if not root.is_dir() or not image.is_relative_to(root):
        return []
    below = [folder for folder in reversed(image.parents) if folder != root and folder.is_relative_to(root)]
    return [folder for folder in below if not _is_part_of_a_set(folder, class_names)]


def folders_below(root: Path, images: Sequence[Path], class_names: Collection[str] | None) -> list[list[Path]]:
    """:func:`folders_of` each image; none if ``class_names`` is None: no folder is a patient."""
    return [[] if class_names is None else folders_of(image, root, class_names) for image in images]


def folders_of_series(images: Sequence[Path], class_names: Collection[str] | None) -> list[list[Path]]:
    """The folder that a DICOM series is, which may be its patient's; none if ``class_names`` is None."""
    if class_names is None:
        return [[] for _ in images]
    return [[image] if image.is_dir() and not _is_part_of_a_set(image, class_names) else [] for image in images]


def depth_of_patients(labeled: Iterable[Mapping[str, Any]]) -> int | None:
    """How many folders are between those of patients and the labeled images in them; None: no patient is a folder.

    Args:
        labeled: items with ``image`` and, if it is known, ``patient``.

    Examples:
        >>> depth_of_patients([{"image": "data/ill/P1/CT/1.dcm", "patient": "P1"}])
        1
        >>> depth_of_patients([{"image": "data/ill/1.dcm", "patient": "P1"}]) is None
        True
    """
    depths: Counter[int] = Counter()
    for item in labeled:
        folders = [folder.name for folder in Path(item[CommonKeys.IMAGE]).parents]
        if item.get("patient") in folders:
            depths[folders.index(item["patient"])] += 1
    return depths.most_common(1)[0][0] if depths else None


def crowded(folders: Sequence[Collection[Path]]) -> set[Path]:
    """Folders that have more than half of all images, such as ``images``.

    Args:
        folders: those of each image.
    """
    counts = Counter(folder for of_image in folders for folder in of_image)
    return {folder for folder, count in counts.items() if count > len(folders) / 2}


def at_depth(folders: Sequence[Path], depth: int | None) -> Sequence[Path]:
    """The folder that is as deep as :func:`depth_of_patients` says, if there is one.

    Args:
        folders: those of one image.
        depth: None: there is none.
    """
    return [] if depth is None or len(folders) <= depth else [folders[-1 - depth]]


def likely_patients(folders: Sequence[Sequence[Path]], depth: int | None) -> list[Path | None]:
    """The folder of each image that is most likely its patient's, if there is one.

    It is the one at the depth, or further out if there are fewer names than folders that these are in, as of visits.
    Without one, it is the outer one that does not have more than half of all images.

    Args:
        folders: those of each image.
        depth: of :func:`depth_of_patients`.

    Examples:
        >>> images = ["archive/P1/CT/1.png", "archive/P2/CT/2.png", "archive/P3/CT/3.png"]
        >>> folders = [[folder for folder in reversed(Path(image).parents) if folder.name] for image in images]
        >>> [[folder.name for folder in likely_patients(folders, depth)] for depth in (None, 0, 1)]
        [['P1', 'P2', 'P3'], ['P1', 'P2', 'P3'], ['P1', 'P2', 'P3']]
    """
    many = crowded(folders)
    while depth is not None and not _may_be_patients({found for own in folders for found in at_depth(own, depth)}):
        depth += 1
    return [
        next(iter([*at_depth(of_image, depth), *(folder for folder in of_image if folder not in many)]), None)
        for of_image in folders
    ]


def _may_be_patients(folders: Collection[Path]) -> bool:
    return len({folder.name for folder in folders}) >= len({folder.parent for folder in folders})


def held_out_patients(
    folders: Sequence[Sequence[Path]], series: Sequence[Sequence[Path]], depth: int | None, many: Collection[Path]
) -> list[Sequence[Path]]:
    """The folders of each held-out image that may be its patient: the one at the depth, or any if there is no depth.

    The folder of a series may be too, if no other has its name; several series called ``scan1`` are of any patients.

    Args:
        folders: those of each image.
        series: of :func:`folders_of_series`.
        depth: of :func:`depth_of_patients`.
        many: folders that have most images without labels; what is named like one, and has most held-out images too, is
            no patient.
    """
    names = {folder.name for folder in crowded(folders)} & {folder.name for folder in many}
    found = [of_image if depth is None else at_depth(of_image, depth) for of_image in folders]
    counts = Counter(folder.name for own in series for folder in own)
    of_one = [[folder for folder in own if counts[folder.name] == 1] for own in series]
    return [
        [folder for folder in (*of_image, *own) if folder.name not in names]
        for of_image, own in zip(found, of_one, strict=True)
    ]


def _is_part_of_a_set(folder: Path, class_names: Collection[str]) -> bool:
    """Whether a folder is named like a split or a class."""
    return folder.name.lower() in SPLIT_NAMES or folder.name in class_names
