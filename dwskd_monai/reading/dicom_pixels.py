"""Pixels of DICOM files, scaled by slope and intercept.

ITK's GDCM decodes every transfer syntax, but for a multi-frame file it needs seven times the memory of its pixels;
those of files that are not compressed are read frame by frame instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import itk
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dwskd_monai.reading.refusal import RefusedImage

_PIXEL_DATA = 0x7FE00010
_LARGE = 2**16  # bytes; larger values stay in the file


def read_frame(path: Path) -> NDArray[np.float32]:
    """The pixels ``(1, H, W)`` of a file with one frame; MONOCHROME1 is turned round.

    Raises:
        RefusedImage: if they cannot be decoded.
    """
    return _decoded(path, 1)


def read_frames(path: Path, order: Sequence[int], slope: float, intercept: float) -> NDArray[np.float32]:
    """The pixels ``(frames, H, W)`` of a multi-frame file, its frames in ``order``.

    Raises:
        RefusedImage: if they cannot be decoded.
    """
    stored = _in_file(path, len(order))
    if stored is None:
        pixels = _decoded(path, len(order))
        return pixels if list(order) == sorted(order) else pixels[order]
    frames, unused = stored
    pixels = np.empty(frames.shape, np.float32)
    for target, index in enumerate(order):
        # the upper bits that are not used may hold anything; shifting there and back clears them and keeps the sign
        pixels[target] = ((frames[index] << unused) >> unused) * slope + intercept
    return pixels


def _in_file(path: Path, count: int) -> tuple[NDArray[np.integer], int] | None:
    """Frames as they stand in the file, and how many upper bits are not used; None where they must be decoded."""
    header = pydicom.dcmread(path, defer_size=_LARGE)
    plain = header.file_meta.TransferSyntaxUID in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    usual = header.get("PhotometricInterpretation") == "MONOCHROME2" and header.get("BitsAllocated") == 16
    if not plain or not usual or header.get("HighBit") != header.get("BitsStored", 0) - 1 or _PIXEL_DATA not in header:
        return None
    element = next(element for element in header.values() if element.tag == _PIXEL_DATA)  # as it is, not read
    shape = (count, int(header.Rows), int(header.Columns))
    size = 2 * int(np.prod(shape))
    there = path.stat().st_size - element.value_tell
    if element.length < size or there < size:
        raise RefusedImage(
            path,
            f"a damaged DICOM file, its pixels cannot be decoded (expected {size} bytes of {count} frames, got "
            f"{min(element.length, there)})",
            "damaged",
        )
    kind = np.dtype("<i2" if header.PixelRepresentation else "<u2")
    frames = np.memmap(path, kind, mode="r", offset=element.value_tell, shape=shape)
    return frames, 16 - int(header.BitsStored)


def _decoded(path: Path, frames: int) -> NDArray[np.float32]:
    reader = itk.ImageFileReader[itk.Image[itk.F, 3]].New(FileName=str(path), ImageIO=itk.GDCMImageIO.New())
    try:
        reader.Update()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()  # ITK's last line tells what went wrong
        raise RefusedImage(path, f"a damaged DICOM file, its pixels cannot be decoded ({reason})", "damaged") from error
    pixels: NDArray[np.float32] = itk.array_from_image(reader.GetOutput())  # a copy: a view outlives ITK's memory
    if len(pixels) != frames:
        raise RefusedImage(path, f"{frames} frames announced, {len(pixels)} decoded", "damaged")
    return pixels
