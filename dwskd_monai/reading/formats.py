"""The formats that can be read, one row each; and what a file is, by its name and first bytes.

A new format is a module of this folder with ``read_file(path, slice_axis, spacing_tolerance) -> Image``, and a row of
``FORMATS``, before the pictures. Nothing here imports a library that decodes one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dwskd_monai.reading.refusal import RefusedImage


def is_dicom(path: Path) -> bool:
    """Whether the file begins as DICOM files do."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


@dataclass(frozen=True)
class Format:
    """How files of a format are known and read.

    Args:
        name: as messages call it.
        suffixes: of its files, in small letters.
        module: of this folder, which reads them.
        libraries: that it needs beyond Pillow, as ``pip install`` takes them.
        begins: whether a file's content is of this format, whatever it is called; None: the suffix alone tells.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    libraries: tuple[str, ...] = ()
    begins: Callable[[Path], bool] | None = None

    def has_name(self, path: Path) -> bool:
        """Whether a file is called like one, in capitals or not."""
        return path.name.lower().endswith(self.suffixes)


DICOM = Format("DICOM", (".dcm", ".dicom"), "dicom", ("pydicom", "itk", "nibabel"), is_dicom)
NIFTI = Format("NIfTI", (".nii", ".nii.gz"), "nifti", ("nibabel",))
PICTURE = Format("PNG, JPEG or BMP", (".png", ".jpg", ".jpeg", ".bmp"), "pictures")
FORMATS = (DICOM, NIFTI, PICTURE)
FORMAT_NAMES = ", ".join(row.name for row in FORMATS)  # "DICOM, NIfTI, PNG, JPEG or BMP", for messages
SUFFIXES = tuple(suffix for row in FORMATS for suffix in row.suffixes)


def is_called_image(path: Path) -> bool:
    """Whether a file is called like one of any format."""
    return any(row.has_name(path) for row in FORMATS)


def format_of(path: Path) -> Format:
    """The format of a file, by its content or else its name; a picture if neither tells.

    Raises:
        RefusedImage: if it is empty, or its name says a format that its content is not of.
    """
    if path.stat().st_size == 0:
        raise RefusedImage(path, "an empty file (0 bytes); copy it again from its source", "damaged")
    for row in FORMATS:
        if row.begins is not None and row.begins(path):
            return row
    for row in FORMATS:
        if row.has_name(path):
            if row.begins is not None:
                raise RefusedImage(path, f"not a {row.name} file, whatever it is called; expected an image", "format")
            return row
    return PICTURE


def is_aside(name: str) -> bool:
    """Whether a file is hidden, or the table of contents of a DICOM disc."""
    return name.startswith(".") or name.upper() == "DICOMDIR"


def files_of_series(folder: Path) -> list[Path]:
    """The files directly in a folder that are DICOM, or are called so, in the order of their names."""
    files = (path for path in folder.iterdir() if path.is_file() and not is_aside(path.name))
    return sorted(path for path in files if DICOM.has_name(path) or is_dicom(path))
