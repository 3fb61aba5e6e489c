"""The numbers in the words of DICOM pixels; other bits hold a sign, an overlay, or what BitsStored leaves out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import JPEG2000

from dwskd_monai.reading.dicom_header import Header
from dwskd_monai.reading.dicom_pixels import LOSSY, Layout
from dwskd_monai.reading.refusal import RefusedImage

_OVERSHOOT = 1.0  # share of the range by which lossy compression may overshoot beside sharp edges


def numbers_of(words: NDArray[Any], layout: Layout, header: Header) -> tuple[NDArray[Any], bool]:
    """The stored numbers in the words of a frame, and whether other bits, such as an overlay's, were cleared.

    The sign is extended. Lossy compression may overshoot: a 12-bit number that became 4097 is read as 4095, not as 1.

    Raises:
        RefusedImage: if the numbers have more bits than BitsStored.
    """
    if words.dtype.kind == "f" or layout.stored == layout.allocated:
        return words, False
    if header.syntax in LOSSY and (header.syntax == JPEG2000 or not layout.signed):
        most = _OVERSHOOT * (layout.highest - layout.lowest)
        if words.max() > layout.highest + most or words.min() < layout.lowest - most:
            raise _too_few_bits(words, layout, header)
        return words.clip(layout.lowest, layout.highest), False
    words = words.astype(layout.dtype, copy=False)
    if layout.high + 1 == layout.stored and layout.lowest <= words.min() and words.max() <= layout.highest:
        return words, False
    # shifting there and back clears the upper bits and keeps the sign
    numbers = (words << (layout.allocated - 1 - layout.high)) >> (layout.allocated - layout.stored)
    whole = words >> (layout.high + 1 - layout.stored)
    upper = whole >> layout.stored
    if np.array_equal(numbers, whole) or (layout.signed and not upper.any()):  # a sign, extended or not
        return numbers, False
    if upper.min() < upper.max() and _roughness(
        np.where(whole == _padding_word(header, layout), numbers, whole)
    ) < _roughness(numbers):
        raise _too_few_bits(whole, layout, header)
    return numbers, True


def _roughness(numbers: NDArray[Any]) -> float:
    """The sum of the differences between neighbors.

    Numbers that lost their upper bits wrap around to 0 within bright areas: 4095 lies beside 0, where the whole numbers
    are 4095 and 4096. The bits of an overlay do not continue the numbers, so there the whole words are rougher::

        too few bits   whole 4000 4090 4100 4200   stored 4000 4090    4  104    rougher without the upper bits
        an overlay     whole  700 4800 4810  720   stored  700  704  714  720    smoother without them
    """
    return float(np.abs(np.diff(numbers.astype(np.int64), axis=-1)).sum())


def _padding_word(header: Header, layout: Layout) -> int | None:
    """The padding value as it stands in a word; it may have more bits than the numbers."""
    value = header.number("PixelPaddingValue")
    if value is None:
        return None
    return int(np.array(int(value)).astype(layout.dtype))


def _too_few_bits(words: NDArray[Any], layout: Layout, header: Header) -> RefusedImage:
    return header.refusal(
        f"{header.named('BitsStored')} is {layout.stored}, for numbers from {layout.lowest} to {layout.highest}, but "
        f"pixels have {int(words.min())} to {int(words.max())}, whose upper bits would be lost"
    )
