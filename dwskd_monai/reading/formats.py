"""The formats that can be read, one row each; and what a file is, by its name and first bytes.

A new format is a row of ``FORMATS``, before the pictures, and a module of this folder with three functions:
``read_file(path, slice_axis, spacing_tolerance, judge) -> Image``; ``origin_of(path) -> Origin``; ``size_of(path)``,
the slices, rows and columns by its header. Nothing here imports a library that decodes one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from dwskd_monai.reading.refusal import RefusedImage

_BEGINNING = 512  # bytes that tell what a file is
_DIRECTORY = b"1.2.840.10008.1.3.10"  # the class of the table of contents of a DICOM disc
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")  # PNG, JPEG, TIFF in both byte orders
_EXPLICIT = b"AE AS AT CS DA DS DT FD FL IS LO LT OB OW PN SH SL SQ SS ST TM UI UL UN US UT".split()


def has_preamble(path: Path) -> bool:
    """Whether the file begins as DICOM files have done since 1993."""
    return _beginning(path)[128:132] == b"DICM"


def is_dicom(path: Path) -> bool:
    """Whether the file begins as DICOM files do, or with the first attributes of a DICOM file without a preamble.

    The table of contents of a disc does not count, whatever its name: it lists images, and is not one.
    """
    beginning = _beginning(path)
    if beginning[128:132] == b"DICM":
        return _DIRECTORY not in beginning
    return _is_element(beginning) and _DIRECTORY not in beginning


def is_picture(path: Path) -> bool:
    """Whether the file begins as pictures do."""
    beginning = _beginning(path)
    return beginning.startswith(_PICTURES) or (beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP")


def _is_element(beginning: bytes) -> bool:
    """Whether these are an attribute of the first groups, and another of them that follows it.

    An example, SOPClassUID without value representation, and the SOPInstanceUID that follows::

        08 00 16 00   1A 00 00 00    31 2E 32 2E …   08 00 18 00
        tag           26 bytes       1.2.…           tag
    """
    if len(beginning) < 16:
        return False
    group, element, length = struct.unpack("<HHI", beginning[:8])
    if beginning[4:6] in _EXPLICIT:
        (length,) = struct.unpack("<H", beginning[6:8])
        if beginning[4:6] in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
            return False  # the first attributes are short
    following = beginning[8 + length : 12 + length]
    if group not in (0x0002, 0x0008) or length % 2 or len(following) < 4:
        return False
    next_group, next_element = struct.unpack("<HH", following)
    return next_group in (0x0002, 0x0008) and (next_group, next_element) > (group, element)


def _beginning(path: Path) -> bytes:
    """The first bytes; none if it is not a file (a pipe), or cannot be opened: reading it says what is wrong."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(_BEGINNING)
    except OSError:
        return b""


@dataclass(frozen=True)
class Format:
    """How files of a format are recognized and read.

    Args:
        name: as messages have it.
        suffixes: of its files, in lower case.
        module: of this folder, which reads them.
        libraries: that it needs beyond Pillow, as ``pip install`` takes them.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    libraries: tuple[str, ...] = ()

    def has_name(self, path: Path) -> bool:
        """Whether a file has one of the suffixes, in capitals or not."""
        return path.name.lower().endswith(self.suffixes)


DICOM = Format("DICOM", (".dcm", ".dicom"), "dicom", ("pydicom", "nibabel", "python-gdcm"))
NIFTI = Format("NIfTI", (".nii", ".nii.gz"), "nifti", ("nibabel",))
PICTURE = Format(
    "PNG, JPEG, TIFF, WebP or BMP",
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".webp", ".bmp"),
    "pictures",
)
FORMATS = (DICOM, NIFTI, PICTURE)
FORMAT_NAMES = ", ".join(row.name for row in FORMATS)  # for messages
SUFFIXES = tuple(suffix for row in FORMATS for suffix in row.suffixes)


def is_called_image(path: Path) -> bool:
    """Whether a file has a suffix of any format."""
    return any(row.has_name(path) for row in FORMATS)


def is_image(path: Path) -> bool:
    """Whether a file has a suffix of an image, is DICOM under any name, or is a picture without a suffix."""
    return is_called_image(path) or is_dicom(path) or (not path.suffix and is_picture(path))


def format_of(path: Path) -> Format:
    """The format of a file, by its content or else its name; a picture if neither tells.

    Raises:
        RefusedImage: if it is empty, or its content is not of the format that its name says.
    """
    if path.stat().st_size == 0:
        raise RefusedImage(path, "an empty file (0 bytes); copy it again from its source", "damaged")
    if _DIRECTORY in _beginning(path):
        reason = "the table of contents of a DICOM disc; expected an image, or the folder of a series"
        raise RefusedImage(path, reason, "format")
    path.open("rb").close()  # a file that cannot be opened is named as that, not as one of no format
    if is_dicom(path):
        return DICOM
    row = next((row for row in FORMATS if row.has_name(path)), PICTURE)
    if row is DICOM:
        raise RefusedImage(path, f"not a {row.name} file, whatever it is called; expected an image", "format")
    return row


def is_aside(name: str) -> bool:
    """Whether a file is hidden, or the table of contents of a DICOM disc."""
    return name.startswith(".") or name.upper() == "DICOMDIR"


def files_of_series(folder: Path) -> list[Path]:
    """The files directly in a folder that are DICOM, or have the name of one, in the order of their names."""
    files = (path for path in folder.iterdir() if path.is_file() and not is_aside(path.name))
    return sorted(path for path in files if DICOM.has_name(path) or is_dicom(path))
