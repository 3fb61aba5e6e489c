"""The formats that can be read, one row each.

A new format is a module with ``read_file(path, slice_axis, spacing_tolerance) -> Image``, and a row in ``FORMATS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from dwskd_monai.reading.signatures import DICOM, NIFTI, PICTURES, has_suffix, is_dicom


@dataclass(frozen=True)
class Format:
    """How files of a format are known and read.

    Args:
        name: as messages call it.
        suffixes: of its files, in small letters.
        libraries: that it needs beyond Pillow, as ``pip install`` takes them.
        reader: its module, or the error of the library that is not installed.
        begins: whether a file's content is of this format, whatever it is called; None: the suffix alone tells.
    """

    name: str
    suffixes: tuple[str, ...]
    libraries: tuple[str, ...]
    reader: ModuleType | ModuleNotFoundError
    begins: Callable[[Path], bool] | None = None

    def module(self, path: Path) -> ModuleType:
        """The reader, to read ``path``.

        Raises:
            ModuleNotFoundError: if a library that it needs is not installed.
        """
        if isinstance(self.reader, ModuleType):
            return self.reader
        raise ModuleNotFoundError(
            f"{path}: to read it, {' and '.join(self.libraries)} must be installed (no {self.reader.name} here): "
            f"pip install {' '.join(self.libraries)}",
            name=self.reader.name,
        ) from self.reader


def _import(importer: Callable[[], ModuleType]) -> ModuleType | ModuleNotFoundError:
    """A network that was packed runs with monai and timm alone, which bring no library for volumes.

    Readers are looked for when this module is imported, not when there is a file for them: MONAI Label forgets where a
    bundle's code lies once it has its transforms.
    """
    try:
        return importer()
    except ModuleNotFoundError as error:
        return error


def _dicom() -> ModuleType:
    from dwskd_monai.reading import dicom

    return dicom


def _nifti() -> ModuleType:
    from dwskd_monai.reading import nifti

    return nifti


def _pictures() -> ModuleType:
    from dwskd_monai.reading import pictures

    return pictures


FORMATS = (
    Format("DICOM", DICOM, ("pydicom", "itk", "nibabel"), _import(_dicom), begins=is_dicom),
    Format("NIfTI", NIFTI, ("nibabel",), _import(_nifti)),
    Format("picture", PICTURES, (), _import(_pictures)),
)
SUFFIXES = tuple(suffix for form in FORMATS for suffix in form.suffixes)


def format_of(path: Path) -> Format:
    """The format of a file, by its content or else its name; a picture if neither tells.

    Raises:
        ValueError: if it is empty, or its name says a format that its content is not of.
    """
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: an empty file (0 bytes); copy it again from its source")
    for form in FORMATS:
        if form.begins is not None and form.begins(path):
            return form
    for form in FORMATS:
        if has_suffix(path, form.suffixes):
            if form.begins is not None:
                raise ValueError(f"{path}: not a {form.name} file, whatever it is called; expected an image")
            return form
    return FORMATS[-1]
