"""The size that a compressed picture says it has, of JPEG, JPEG-LS and JPEG 2000."""

from __future__ import annotations

import struct

_JPEG = b"\xff\xd8"
_JPEG_2000 = b"\xff\x4f\xff\x51"  # start of a codestream, and of its sizes
_BOX = b"\x0d\x0a\x87\x0a"  # in the first box of a JP2 file, which holds a codestream
_NOT_SIZES = (0xC4, 0xC8, 0xCC)  # among the markers of a frame's header: tables
_NEAR = 2**16  # bytes in which a JP2 file's codestream begins


def size_of(picture: bytes) -> tuple[int, int] | None:
    """Rows and columns; None if it is of another kind (run lengths, which have no size), or does not tell.

    An example, the header of a frame in a JPEG of 40 rows and 56 columns::

        FF C3   00 0B   0C          00 28   00 38
        marker  length  precision   rows    columns
    """
    if picture[:2] == _JPEG:
        return _jpeg_size(picture)
    start = picture.find(_JPEG_2000, 0, _NEAR) if _BOX in picture[:32] else 0
    if start < 0 or picture[start : start + 4] != _JPEG_2000 or len(picture) < start + 24:
        return None
    right, bottom, left, top = struct.unpack(">4I", picture[start + 8 : start + 24])
    return bottom - top, right - left


def _jpeg_size(picture: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(picture) and picture[place] == 0xFF:
        marker = picture[place + 1]
        if marker == 0xFF:  # filling
            place += 1
            continue
        if (0xC0 <= marker <= 0xCF and marker not in _NOT_SIZES) or marker == 0xF7:
            rows, columns = struct.unpack(">2H", picture[place + 5 : place + 9])
            return rows, columns
        (length,) = struct.unpack(">H", picture[place + 2 : place + 4])
        place += 2 + max(2, length)
    return None
