"""How a file was made: its format, size and bit depth, and the scanner if its header tells.

No network should use any of this, and many do: if the images of one class come from another place than the rest, these
facts tell the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from dwskd_monai.reading import nifti
from dwskd_monai.reading.dicom_header import read_header
from dwskd_monai.reading.formats import DICOM, NIFTI, files_of_series, format_of
from dwskd_monai.reading.refusal import RefusedImage

_EMPTY = "a folder without a DICOM file; expected the files of one series"
_SCANNER = {"manufacturer": "Manufacturer", "model": "ManufacturerModelName", "site": "InstitutionName"}
_TAGS = ("BitsStored", "PhotometricInterpretation", "ViewPosition", *_SCANNER.values())


@dataclass(frozen=True)
class Origin:
    """What a file says about how it was made, and nothing about a patient; empty texts if it says nothing.

    Args:
        format: ``PNG``, ``JPEG``, …, ``DICOM``, ``NIfTI``.
        bits: of a pixel.
        colors: ``L`` (gray), ``RGB``, ``P`` (palette), …; for DICOM, its PhotometricInterpretation.
        view: of an X-ray.
        manufacturer, model, site: of the scanner.
    """

    format: str
    bits: str = ""
    colors: str = ""
    view: str = ""
    manufacturer: str = ""
    model: str = ""
    site: str = ""


def origin_of(path: Path) -> Origin:
    """The origin of an image; of a DICOM series, that of its first file.

    Raises:
        RefusedImage, OSError: if its header cannot be read.
    """
    if path.is_dir():
        files = files_of_series(path)
        if not files:
            raise RefusedImage(path, _EMPTY, "format")
        path = files[0]
    kind = format_of(path)
    if kind is DICOM:
        return _of_dicom(path)
    return Origin(NIFTI.name, str(nifti.bits_of(path))) if kind is NIFTI else _of_picture(path)


def size_of(path: Path) -> tuple[int, int, int]:
    """The slices, rows and columns of an image, by its header; a DICOM series has a slice in each file.

    Raises:
        RefusedImage, OSError: if its header cannot be read.
    """
    files = files_of_series(path) if path.is_dir() else [path]
    if not files:
        raise RefusedImage(path, _EMPTY, "format")
    kind = format_of(files[0])
    if kind is DICOM:
        header = read_header(files[0], ("Rows", "Columns", "NumberOfFrames"))
        frames = header.whole("NumberOfFrames", 1) * len(files)
        return frames, header.whole("Rows"), header.whole("Columns")
    if kind is NIFTI:
        columns, rows, slices = nifti.size_of(path)
        return slices, rows, columns
    with Image.open(path) as picture:
        return 1, picture.height, picture.width


def _of_dicom(path: Path) -> Origin:
    header = read_header(path, _TAGS)
    scanner = {name: header.text(tag) for name, tag in _SCANNER.items()}
    colors = header.text("PhotometricInterpretation")
    return Origin(DICOM.name, str(header.whole("BitsStored", 0)), colors, header.text("ViewPosition"), **scanner)


def _of_picture(path: Path) -> Origin:
    with Image.open(path) as picture:
        bits = picture.mode.partition(";")[2] or {"1": "1", "I": "32", "F": "32"}.get(picture.mode, "8")
        return Origin(picture.format or "", bits.rstrip("BLN"), picture.mode)
