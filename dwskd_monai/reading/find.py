"""Which files and folders are images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dwskd_monai.reading.formats import files_of_series, is_aside, is_image
from dwskd_monai.reading.refusal import ASIDE, RefusedImage

# Folders that systems and vendors put beside images
_OF_SYSTEMS = ("@eadir", "__macosx", "$recycle.bin", "system volume information", "lost+found")
_FILES_OF_SYSTEMS = ("thumbs.db", "desktop.ini", "ehthumbs.db")
_IMAGES = ("image", "images", "img", "imgs")
_MASKS = ("mask", "masks", "seg", "segmentation", "segmentations")  # beside a folder called as above
# Files that describe images, and are not images
_DOCUMENTS = (
    ".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".md", ".rst", ".html", ".htm", ".pdf", ".log", ".ini",
    ".xls", ".xlsx", ".doc", ".docx", ".py", ".ipynb", ".pt", ".bval", ".bvec", ".sh",
)  # fmt: skip


def find_images(root: Path, dicom_series: bool, root_is_series: bool = False) -> tuple[list[Path], list[RefusedImage]]:
    """All images below a folder, in the order of their names, and everything there that is not an image.

    An image is a file with the suffix of one (``formats``), a DICOM file of any other name, or a picture without a
    suffix. Links are followed.

    Args:
        root: the folder.
        dicom_series: whether two or more DICOM files in a folder below ``root`` are the slices of one volume: the
            folder is the image then. (Not if each of them is a multi-frame file, a volume of its own.)
        root_is_series: whether that holds for ``root`` itself too.

    Returns:
        The images, and a refusal for everything else. Its kind is ``aside`` for files that nobody means as images
        (hidden files, thumbnails, masks beside images, documents), otherwise that of a file that somebody may miss.
    """
    images: list[Path] = []
    others: list[RefusedImage] = []
    for folder, files in _walk(root, others):
        may_be_series = dicom_series and (root_is_series or folder != root)
        if may_be_series and _is_series(folder):
            images.append(folder)
            continue
        for path in files:
            refusal = _refusal(path)
            if refusal is None:
                images.append(path)
            else:
                others.append(refusal)
    return sorted(images), others


def _walk(root: Path, others: list[RefusedImage]) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder with its files, links followed once; folders that are left out go to ``others``."""
    seen: set[Path] = set()
    for name, folders, files in os.walk(root, followlinks=True):
        folder = Path(name)
        if folder.resolve() in seen:
            others.append(RefusedImage(folder, "link to a folder that is listed already", ASIDE))
            folders.clear()
            continue
        seen.add(folder.resolve())
        inside = []
        for path in sorted((folder / inner for inner in folders), key=_real_ones_first):
            reason = _reason_to_leave(path, folders)
            if reason is None:
                inside.append(path.name)
            else:
                others.append(RefusedImage(path, reason, ASIDE))
        folders[:] = inside
        yield folder, [folder / file for file in sorted(files)]


def _real_ones_first(folder: Path) -> tuple[bool, str]:
    return folder.is_symlink(), folder.name


def _reason_to_leave(folder: Path, beside: list[str]) -> str | None:
    """Why a folder is not looked into; None if it is."""
    name = folder.name.lower()
    if name.startswith("."):
        return "hidden folder"
    if name in _OF_SYSTEMS:
        return "folder of thumbnails or of the system"
    if name in _MASKS and any(other.lower() in _IMAGES for other in beside):
        return "folder of masks beside a folder of images"
    return None


def _refusal(path: Path) -> RefusedImage | None:
    """Why a file is not taken for an image; None if it is."""
    if is_aside(path.name) or path.name.lower() in _FILES_OF_SYSTEMS:
        return RefusedImage(path, "hidden file, or one of the system", ASIDE)
    if not path.exists():
        return RefusedImage(path, "a broken link; expected a file; copy it here, or remove the link", "missing")
    if not path.is_file():
        return RefusedImage(path, "pipe or device", ASIDE)
    if is_image(path):
        return None
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if path.name.lower().endswith(_DOCUMENTS):
        return RefusedImage(path, f"document ({path.suffix})", ASIDE)
    if not suffix:
        return RefusedImage(path, "file without a suffix that is not an image", ASIDE)
    return RefusedImage(path, f"a file called {suffix}; expected an image that can be read; convert it", "format")


def _is_series(folder: Path) -> bool:
    files = files_of_series(folder)
    if len(files) < 2:
        return False
    from dwskd_monai.reading.dicom import is_multiframe  # pydicom is needed only where there is DICOM

    return not all(map(is_multiframe, files))
