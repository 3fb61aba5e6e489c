"""How a file was made: its format, size and bit depth, and the scanner if its header tells.

No network should use any of this, and many do: if the images of one class come from another place than the rest, these
facts tell the class.
"""

from __future__ import annotations

from pathlib import Path

from dwskd_monai.reading.formats import files_of_series
from dwskd_monai.reading.image import Origin
from dwskd_monai.reading.read import reader_of
from dwskd_monai.reading.refusal import RefusedImage


def origin_of(path: Path) -> Origin:
    """The origin of an image; of a DICOM series, that of its first file.

    Raises:
        RefusedImage, OSError: if its header cannot be read.
    """
    first = _files(path)[0]
    origin: Origin = reader_of(first).origin_of(first)
    return origin


def size_of(path: Path) -> tuple[int, int, int]:
    """The slices, rows and columns of an image, by its header; a DICOM series has a slice in each file.

    Raises:
        RefusedImage, OSError: if its header cannot be read.
    """
    files = _files(path)
    slices, rows, columns = reader_of(files[0]).size_of(files[0])
    return slices * len(files), rows, columns


def _files(path: Path) -> list[Path]:
    files = files_of_series(path) if path.is_dir() else [path]
    if not files:
        raise RefusedImage(path, "a folder without a DICOM file; expected the files of one series", "format")
    return files
