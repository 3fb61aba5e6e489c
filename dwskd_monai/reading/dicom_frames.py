"""Compressed frames: taken out of a DICOM file, and written into small files of their own.

The files are written byte by byte, since pydicom 2, which MONAI Label needs, and pydicom 3 write files in different
ways.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from pydicom import encaps, uid

NOT_COMPRESSED = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
)
COMPRESSED = (  # those of which decoders were compared
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.UID("1.2.840.10008.1.2.4.57"),  # JPEG Lossless; pydicom 2 and 3 give the name to different ones
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.RLELossless,
)
_SECONDARY_CAPTURE = b"1.2.840.10008.5.1.4.1.1.7"  # the class with the fewest rules
_ITEM = 0xE000
_END = 0xE0DD


def frames_of(value: bytes, count: int) -> list[bytes]:
    """The frames in the value of PixelData, each put together from its fragments."""
    if hasattr(encaps, "generate_frames"):  # pydicom 3
        return list(encaps.generate_frames(value, number_of_frames=count))
    return list(encaps.generate_pixel_data_frame(value, count))


def file_of_frame(frame: bytes, described: Mapping[int, int], syntax: str) -> bytes:
    """A DICOM file with one frame and the attributes that decoding needs.

    Args:
        frame: compressed.
        described: attributes of group 0028 by their number.
        syntax: UID of the transfer syntax.
    """
    meta = b"".join(
        (
            _element(0x0002, 0x0001, b"OB", b"\0\1"),
            _element(0x0002, 0x0002, b"UI", _SECONDARY_CAPTURE),
            _element(0x0002, 0x0003, b"UI", b"1.2.3"),
            _element(0x0002, 0x0010, b"UI", syntax.encode("ascii")),
        )
    )
    numbers = {number: _element(0x0028, number, b"US", struct.pack("<H", value)) for number, value in described.items()}
    numbers[0x0004] = _element(0x0028, 0x0004, b"CS", b"MONOCHROME2")
    return b"".join(
        (
            b"\0" * 128 + b"DICM",
            _element(0x0002, 0x0000, b"UL", struct.pack("<I", len(meta))),
            meta,
            _element(0x0008, 0x0016, b"UI", _SECONDARY_CAPTURE),
            _element(0x0008, 0x0018, b"UI", b"1.2.3"),
            *(numbers[number] for number in sorted(numbers)),
            struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF),  # pixels of unknown length, in items
            _item(_ITEM, b""),  # the table of offsets, which one frame does not need
            _item(_ITEM, frame),
            _item(_END, b""),
        )
    )


def _element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    """One attribute; in little endian, with its value representation, filled up to an even length."""
    value += (b"\0" if kind in (b"UI", b"OB") else b" ") * (len(value) % 2)
    if kind == b"OB":
        return struct.pack("<HH2sHI", group, number, kind, 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, kind, len(value)) + value


def _item(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0xFFFE, number, len(value)) + value
