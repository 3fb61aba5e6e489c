"""What a JPEG, JPEG-LS or JPEG 2000 picture says about itself: its size and depth, and whether it is complete.

Decoders believe the picture, whatever the header of the file around it says.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_JPEG = b"\xff\xd8"
_JPEG_2000 = b"\xff\x4f\xff\x51"  # start of a codestream, and of its sizes
_BOX = b"\x0d\x0a\x87\x0a"  # in the first box of a JP2 file, which holds a codestream
_NOT_SIZES = (0xC4, 0xC8, 0xCC)  # among the markers of a frame's header: tables
_END = b"\xff\xd9"
_FILLING = 16  # bytes; more than the filling after the end marker that makes lengths even
_NEAR = 2**16  # bytes in which a JP2 file's codestream begins


class Codestream(NamedTuple):
    """What a compressed picture says about itself.

    Args:
        rows: number of rows of pixels.
        columns: number of columns of pixels.
        samples: number of samples of each pixel, 3 in color.
        bits: number of bits of each sample.
    """

    rows: int
    columns: int
    samples: int
    bits: int


def described(picture: bytes) -> Codestream | None:
    """What a picture says about itself; None if it is damaged, or of another kind (run lengths say nothing).

    An example, the header of the frame in a gray JPEG of 12 bits, 40 rows and 56 columns::

        FF C3   00 0B   0C    00 28   00 38    01
        marker  length  bits  rows    columns  samples
    """
    if picture[:2] == _JPEG:
        return _jpeg(picture)
    start = picture.find(_JPEG_2000, 0, _NEAR) if _BOX in picture[:32] else 0
    if start < 0 or picture[start : start + 4] != _JPEG_2000 or len(picture) < start + 43:
        return None
    right, bottom, left, top = struct.unpack(">4I", picture[start + 8 : start + 24])
    samples, depth = struct.unpack(">HB", picture[start + 40 : start + 43])
    return Codestream(bottom - top, right - left, samples, (depth & 0x7F) + 1)  # its first bit is the sign


def is_cut_off(picture: bytes) -> bool:
    """Whether a JPEG or JPEG-LS ends before its end marker: decoders fill the rest with gray, and report nothing."""
    return picture[:2] == _JPEG and _END not in picture[-_FILLING:]


def _jpeg(picture: bytes) -> Codestream | None:
    place = 2
    while place + 10 <= len(picture) and picture[place] == 0xFF:
        marker = picture[place + 1]
        if marker == 0xFF:  # filling
            place += 1
            continue
        if (0xC0 <= marker <= 0xCF and marker not in _NOT_SIZES) or marker == 0xF7:
            bits, rows, columns, samples = struct.unpack(">BHHB", picture[place + 4 : place + 10])
            return Codestream(rows, columns, samples, bits)
        (length,) = struct.unpack(">H", picture[place + 2 : place + 4])
        place += 2 + max(2, length)
    return None
