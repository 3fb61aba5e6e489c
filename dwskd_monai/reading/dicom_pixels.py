"""The stored numbers of DICOM files, frame by frame, before slope and intercept.

Pixels that are not compressed are taken from the file as they stand. GDCM decodes all compressed transfer syntaxes,
each frame from a small file of its own that holds only the attributes that decoding needs, already checked. So GDCM
never sees the rest of a header (a missing palette makes it end the process), applies no slope, inverts nothing, and
needs memory for one frame only. It is ITK's, as in the training, or without ITK that of python-gdcm, a tenth as large.
"""

from __future__ import annotations

import dataclasses
import importlib
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    RLELossless,
)

from dwskd_monai.reading.codestream import described, is_cut_off
from dwskd_monai.reading.dicom_frames import COMPRESSED, NOT_COMPRESSED, file_of_frame, frames_of
from dwskd_monai.reading.dicom_header import Header
from dwskd_monai.reading.formats import has_preamble
from dwskd_monai.reading.refusal import refusing

try:  # 550 MB, which only compressed pixels need; loading it changes the working folder, so not in the middle of a run
    import itk
except ModuleNotFoundError:
    itk = None
gdcm: Any = None
if itk is None:
    with suppress(ModuleNotFoundError):
        gdcm = importlib.import_module("gdcm")
_LARGE = 2**16  # bytes; larger values stay in the file
LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEG2000, JPEGLSNearLossless)
_DAMAGED = "a damaged DICOM file, its pixels cannot be decoded"
Frame = Callable[[int], NDArray[Any]]  # from a frame's number, from 0 on, to its stored numbers ``(H, W)``


@dataclass(frozen=True)
class Layout:
    """How a file stores its pixels.

    Args:
        frames: number of frames.
        rows: of each frame.
        columns: of each frame.
        allocated: bits of each pixel.
        stored: how many of these bits hold the number.
        high: the highest of those that hold the number, counted from 0.
        signed: whether the number is in two's complement.
    """

    frames: int
    rows: int
    columns: int
    allocated: int
    stored: int
    high: int
    signed: bool

    @property
    def lowest(self) -> int:
        """The least number that can be stored."""
        return -(1 << (self.stored - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The greatest number that can be stored."""
        return self.lowest + (1 << self.stored) - 1

    def described(self) -> dict[int, int]:
        """Attributes of one frame, by their number in group 0028."""
        return {
            0x0002: 1,  # SamplesPerPixel
            0x0010: self.rows,
            0x0011: self.columns,
            0x0100: self.allocated,
            0x0101: self.stored,
            0x0102: self.high,
            0x0103: int(self.signed),
        }

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the words that hold the numbers."""
        return np.dtype(f"{'i' if self.signed else 'u'}{self.allocated // 8}")


def can_decompress() -> bool:
    """Whether there is a library that decodes compressed pixels."""
    return itk is not None or gdcm is not None


def layout_of(header: Header, frames: int) -> Layout:
    """How a file stores its pixels.

    Raises:
        RefusedImage: if an attribute is missing, or has a value that gray pixels cannot have.
    """
    rows, columns = header.whole("Rows"), header.whole("Columns")
    if rows < 1 or columns < 1:
        raise header.refusal(f"Rows × Columns are {rows} × {columns}; expected 1 or more each")
    allocated = header.whole("BitsAllocated")
    if allocated not in (8, 16, 32, 64):
        raise header.refusal(f"BitsAllocated is {allocated}; expected 8, 16 or 32 (1 is a mask, no image)", "format")
    if allocated == 64 or not header.numbers("BitsStored"):  # float pixels have none of the attributes that follow
        return Layout(frames, rows, columns, allocated, allocated, allocated - 1, False)
    stored = header.whole("BitsStored")
    high = header.whole("HighBit", stored - 1)
    signed = header.whole("PixelRepresentation")
    if not 1 <= stored <= high + 1 <= allocated:
        raise header.refusal(
            f"BitsAllocated is {allocated}, BitsStored {stored}, HighBit {high}; expected the stored bits within the "
            "allocated ones"
        )
    if signed not in (0, 1):
        raise header.refusal(f"PixelRepresentation is {signed}; expected 0 or 1")
    return Layout(frames, rows, columns, allocated, stored, high, bool(signed))


def read_frames(header: Header, layout: Layout) -> Frame:
    """The words of a file's frames, decoded when they are asked for.

    Raises:
        RefusedImage: if there are fewer frames than announced, or they cannot be decoded; for some faults, only when a
            frame is asked for.
    """
    path = header.path
    with refusing(path, _DAMAGED):
        # deferred reading seeks in the file, where a deflated dataset has no place of its own
        defer = None if header.syntax == DeflatedExplicitVRLittleEndian else _LARGE
        names = ["PixelData", "FloatPixelData", "DoubleFloatPixelData"]
        dataset = pydicom.dcmread(path, defer_size=defer, specific_tags=names, force=not has_preamble(path))
        name = next((name for name in names if name in dataset), None)
        if name is None:
            raise header.refusal("no pixels after its header; expected PixelData", "damaged")
        if name == "PixelData" and header.number("BitsStored") is None:
            raise header.refusal("BitsStored is missing")
        # get_item would read it
        element: Any = next(element for element in dataset.values() if element.tag == tag_for_keyword(name))
        if not (element.value or getattr(element, "length", 0)):  # a value that stays in the file is None here
            raise header.refusal(f"{name} is empty; export the image again", "damaged")
        if header.syntax in NOT_COMPRESSED:
            return _plain(layout, header, element, name)
        _refuse_undecodable(header)
        return _compressed(layout, header, dataset[name].value)


def _plain(layout: Layout, header: Header, element: Any, name: str) -> Frame:
    dtype = {"PixelData": layout.dtype, "FloatPixelData": np.dtype("f4"), "DoubleFloatPixelData": np.dtype("f8")}[name]
    dtype = dtype.newbyteorder(">" if header.syntax == ExplicitVRBigEndian else "<")
    shape = (layout.frames, layout.rows, layout.columns)
    size = layout.frames * layout.rows * layout.columns * dtype.itemsize
    in_file = element.value is None
    there = min(element.length, header.path.stat().st_size - element.value_tell) if in_file else len(element.value)
    asked = f"{layout.frames} × {layout.rows} × {layout.columns} pixels of {8 * dtype.itemsize} bits"
    if there < size or (in_file and there < element.length):
        raise header.refusal(f"{_DAMAGED} (expected {size} bytes of {asked}, got {there})", "damaged")
    # some writers fill up to a whole number of words; more bytes mean that the size in the header is wrong
    if there - size >= min(layout.rows, layout.columns) * dtype.itemsize and there - size > 16:
        raise header.refusal(f"Rows and Columns do not fit PixelData: {size} bytes of {asked}, got {there}")
    if dtype.itemsize == 1 and element.VR == "OW" and header.syntax == ExplicitVRBigEndian:
        # in big-endian words, bytes stand in pairs, the second one first
        words = np.fromfile(header.path, "<u2", (size + 1) // 2, offset=element.value_tell)
        frames: NDArray[Any] = words.byteswap().view(dtype)[:size].reshape(shape)
    elif in_file:
        frames = np.memmap(header.path, dtype, mode="r", offset=element.value_tell, shape=shape)
    else:
        frames = np.frombuffer(element.value, dtype, count=size // dtype.itemsize).reshape(shape)
    native = dtype.newbyteorder("=")
    return lambda index: np.asarray(frames[index], native)


def _refuse_undecodable(header: Header) -> None:
    name = UID(header.syntax).name
    if header.syntax not in COMPRESSED:
        expected = "no compression, JPEG, JPEG-LS, JPEG 2000 or RLE"
        raise header.refusal(f"its transfer syntax is {name}; expected {expected}; export it again", "format")
    if not can_decompress():
        raise header.refusal(f"its pixels are compressed ({name}); to decode them: pip install python-gdcm", "format")


def _compressed(layout: Layout, header: Header, value: bytes) -> Frame:
    frames = frames_of(value, layout.frames)
    if len(frames) != layout.frames:
        raise header.refusal(f"{layout.frames} frames announced, {len(frames)} in PixelData", "damaged")

    def frame(index: int) -> NDArray[Any]:
        _refuse_contradictions(frames[index], layout, header)
        with refusing(header.path, _DAMAGED):
            return _decoded(frames[index], layout, header.syntax)

    return frame


def _refuse_contradictions(frame: bytes, layout: Layout, header: Header) -> None:
    if is_cut_off(frame):
        raise header.refusal(f"{_DAMAGED} (the compressed picture is cut off)", "damaged")
    told = described(frame)
    if told is None:
        return
    if (told.rows, told.columns) != (layout.rows, layout.columns):
        raise header.refusal(
            f"Rows × Columns are {layout.rows} × {layout.columns}, those of the compressed picture {told.rows} × "
            f"{told.columns}"
        )
    if told.samples != 1:
        reason = f"expected gray pixels, the compressed picture has {told.samples} samples per pixel (color)"
        raise header.refusal(reason, "format")
    if told.bits > layout.allocated:
        raise header.refusal(f"BitsAllocated is {layout.allocated}, the compressed picture has {told.bits} bits")


def _decoded(frame: bytes, layout: Layout, syntax: str) -> NDArray[Any]:
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        if syntax == RLELossless:  # GDCM would clear its upper bits before anybody has seen them
            layout = dataclasses.replace(layout, stored=layout.allocated, high=layout.allocated - 1)
        file.write(file_of_frame(frame, layout.described(), syntax))
        file.flush()
        pixels = _by_gdcm(file.name) if itk is None else _by_itk(file.name, layout)
    if pixels.shape != (layout.rows, layout.columns):
        raise ValueError(f"{layout.rows} × {layout.columns} pixels expected, {pixels.shape} decoded")
    return np.asarray(pixels, np.int64 if layout.allocated > 16 else np.int32)


def _by_itk(file: str, layout: Layout) -> NDArray[Any]:
    pixel = itk.D if layout.allocated > 16 else itk.F
    reader = itk.ImageFileReader[itk.Image[pixel, 3]].New(FileName=file, ImageIO=itk.GDCMImageIO.New())
    reader.Update()
    pixels: NDArray[Any] = itk.array_from_image(reader.GetOutput())  # a copy: a view outlives ITK's memory
    return pixels[0]


def _by_gdcm(file: str) -> NDArray[Any]:
    reader = gdcm.ImageReader()
    reader.SetFileName(file)
    if not reader.Read():
        raise ValueError("GDCM cannot decode it")
    image = reader.GetImage()
    form = image.GetPixelFormat()
    dtype = f"{'i' if form.GetPixelRepresentation() else 'u'}{form.GetBitsAllocated() // 8}"
    buffer = image.GetBuffer().encode("utf-8", "surrogateescape")  # the bytes, as SWIG gives them
    return np.frombuffer(buffer, dtype).reshape(image.GetDimension(1), image.GetDimension(0))
