"""Which files and folders are images."""

from __future__ import annotations

import os
from pathlib import Path

from dwskd_monai.reading.formats import files_of_series, is_aside, is_image


def find_images(root: Path, dicom_series: bool, root_is_series: bool = False) -> tuple[list[Path], list[Path]]:
    """All images below a folder, in the order of their names, and the files that are not images.

    An image is a file that is called like one (``formats``), a DICOM file of any other name, or a picture without a
    suffix. Hidden files and a DICOMDIR are passed over.

    Args:
        root: the folder.
        dicom_series: whether two or more DICOM files in a folder below ``root`` are the slices of one volume: the
            folder is the image then. (Not where each of them is a multi-frame file, a volume of its own.)
        root_is_series: whether that holds for ``root`` itself too.
    """
    images: list[Path] = []
    others: list[Path] = []
    for name, folders, files in os.walk(root):
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        folder = Path(name)
        may_be_series = dicom_series and (root_is_series or folder != root)
        if may_be_series and _is_series(folder):
            images.append(folder)
            continue
        for file in sorted(file for file in files if not is_aside(file)):
            path = folder / file
            (images if is_image(path) else others).append(path)
    return sorted(images), others


def _is_series(folder: Path) -> bool:
    files = files_of_series(folder)
    if len(files) < 2:
        return False
    from dwskd_monai.reading.dicom import is_multiframe  # pydicom is needed only where there is DICOM

    return not all(map(is_multiframe, files))
