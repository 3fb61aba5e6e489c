"""What the stored numbers of a DICOM file mean: rescale, look-up tables, polarity, padding.

The order is that of the standard (PS3.4 N.2). The modality transform (slope and intercept, or a table) gives the values
that the device measured, in CT Hounsfield units. The transforms after it are for a display. They are applied only if
they invert brightness, since intensities are scaled later anyway, and never to CT, whose values have a meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.reading.dicom_header import Header
from dwskd_monai.reading.dicom_pixels import LOSSY, Layout
from dwskd_monai.reading.image import Pixels

CT = "CT"
TAGS = (
    "PhotometricInterpretation",
    "PresentationIntentType",
    "PresentationLUTShape",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "FloatPixelPaddingValue",
    "FloatPixelPaddingRangeLimit",
    "DoubleFloatPixelPaddingValue",
    "DoubleFloatPixelPaddingRangeLimit",
    *(f"{color}PaletteColorLookupTable{part}" for color in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")),
)
_FOR_PROCESSING = ("1.2.840.10008.5.1.4.1.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.2.1", "1.2.840.10008.5.1.4.1.1.1.3.1")
_PALETTE = "PALETTE COLOR"
_HUE = 1 / 8  # of the range, as in pictures: a palette with colors that differ by more is not gray


@dataclass(frozen=True)
class Table:
    """A look-up table.

    Args:
        first: the number that the first entry belongs to; smaller numbers have the same entry.
        entries: of this number and those that follow; greater numbers have the last entry.
    """

    first: int
    entries: NDArray[np.float32]

    def of(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """The entries for values."""
        index = np.rint(values).astype(np.int64) - self.first
        return self.entries[index.clip(0, len(self.entries) - 1)]

    @property
    def falls(self) -> bool:
        """Whether greater numbers have smaller entries."""
        return bool(self.entries[-1] < self.entries[0])


@dataclass(frozen=True)
class Meaning:
    """How stored numbers become values.

    Args:
        slope, intercept: of the linear transform.
        table: used in place of slope and intercept, if the file has one.
        display: a table that inverts brightness, if the file has one.
        inverted: whether the greatest value is the darkest.
        padding: the least and the greatest number that pixels outside the image have.
    """

    slope: float
    intercept: float
    table: Table | None
    display: Table | None
    inverted: bool
    padding: tuple[float, float] | None

    def padding_of(self, numbers: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Which pixels are not part of the image; None if it has no padding."""
        if self.padding is None:
            return None
        mask: NDArray[np.bool_] = (numbers >= self.padding[0]) & (numbers <= self.padding[1])
        return mask if mask.any() else None

    def values(self, numbers: NDArray[Any], layout: Layout) -> Pixels:
        """What the numbers of a frame mean."""
        turned_by_table = self.table or self.display
        if self.inverted and turned_by_table is None and numbers.dtype.kind != "f":
            numbers = layout.lowest + layout.highest - numbers.astype(np.int64)
        values: NDArray[Any]
        if self.table:
            values = self.table.of(numbers)
        elif (
            self.slope == 1
            and self.intercept == int(self.intercept)
            and numbers.dtype.kind in "iu"
            and layout.allocated <= 16
        ):
            values = _shifted(numbers, int(self.intercept))
        else:
            values = numbers * self.slope + self.intercept
        if self.display:
            values = self.display.of(values)
        if self.inverted and turned_by_table is not None:
            entries = (self.display or turned_by_table).entries
            values = entries.min() + entries.max() - values
        elif self.inverted and numbers.dtype.kind == "f":
            values = -values
        return cast(Pixels, values if values.dtype == np.int16 else values.astype(np.float32, copy=False))


def _shifted(numbers: NDArray[Any], intercept: int) -> Pixels:
    """Numbers of at most 16 bits plus the intercept: in 16 bits if they fit, else in float32, which is exact too."""
    limits = np.iinfo(np.int16)
    if limits.min <= int(numbers.min()) + intercept and int(numbers.max()) + intercept <= limits.max:
        return numbers.astype(np.int16) + np.int64(intercept).astype(np.int16)  # what wraps around, wraps back
    return numbers.astype(np.float32) + np.float32(intercept)


def meaning_of(header: Header, layout: Layout) -> Meaning:
    """How the stored numbers of a file, or of one of its frames, become values.

    Raises:
        RefusedImage: if they have no meaning, or one that gray pixels cannot have.
    """
    photometric = header.text("PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2", _PALETTE):
        raise header.refusal(
            f"PhotometricInterpretation is {photometric[:20]!r}; expected MONOCHROME1, MONOCHROME2 or a palette of "
            "grays",
            "format",
        )
    if header.text("PresentationIntentType") == "FOR PROCESSING" or header.text("SOPClassUID") in _FOR_PROCESSING:
        raise header.refusal("an X-ray FOR PROCESSING, not to be looked at; export the one FOR PRESENTATION", "format")
    is_ct = header.text("Modality") == CT
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    if is_ct and photometric == _PALETTE:
        raise header.refusal("PALETTE COLOR of Modality CT; a palette has no Hounsfield units", "format")
    table = _palette(header) if photometric == _PALETTE else _table(header, "ModalityLUTSequence", layout.signed)
    if is_ct and table is None and (slope is None or intercept is None):
        missing = "RescaleSlope" if slope is None else "RescaleIntercept"
        raise header.refusal(
            f"no rescale: {header.named(missing)} is missing or empty, so its numbers are no Hounsfield units"
        )
    if slope == 0:
        raise header.refusal(f"{header.named('RescaleSlope')} is 0; its pixels have no meaning")
    display = None if is_ct else _table(header, "VOILUTSequence", layout.signed or (intercept or 0) < 0)
    inverse = photometric == "MONOCHROME1" or header.text("PresentationLUTShape") == "INVERSE"  # the same, twice
    return Meaning(
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
        table=table,
        display=display if display is not None and display.falls else None,
        inverted=inverse and not is_ct,
        padding=_padding(header, layout),
    )


def darken_padding(pixels: Pixels, masks: dict[int, NDArray[np.bool_]], is_ct: bool, header: Header) -> float:
    """Set padding, which may have any value, to the darkest value of the other pixels, and return its share.

    Padding that is dark already stays as the file has it: in CT, a value below all others (Hounsfield units are
    windowed, so it becomes black); in other images, a value close to the darkest.

    Args:
        pixels: of all slices ``(D, H, W)``, changed in place.
        masks: of the slices that have padding, by their index.
        is_ct: whether values are Hounsfield units.
        header: for messages.

    Raises:
        RefusedImage: if all pixels are padding.
    """
    if not masks:
        return 0.0
    darkest, brightest = np.inf, -np.inf
    for index, values in enumerate(pixels):
        shown = values[~masks[index]] if index in masks else values
        if shown.size:
            darkest = float(np.minimum(darkest, shown.min()))  # NaN, if one pixel is
            brightest = float(np.maximum(brightest, shown.max()))
    if darkest == np.inf:
        raise header.refusal("all of its pixels have the value of padding (PixelPaddingValue)", "content")
    lowest = -np.inf if is_ct else darkest - 0.01 * (brightest - darkest)
    for index, mask in masks.items():
        values = pixels[index]
        values[mask & ((values > darkest) | (values < lowest))] = darkest
    return sum(int(mask.sum()) for mask in masks.values()) / pixels.size


def _padding(header: Header, layout: Layout) -> tuple[float, float] | None:
    for kind in ("", "Float", "DoubleFloat"):
        value = header.number(f"{kind}PixelPaddingValue")
        if value is None:
            continue
        limit = header.number(f"{kind}PixelPaddingRangeLimit")
        if limit is None and header.syntax in LOSSY:
            continue  # after lossy compression padding has other values too, and other pixels may have this one
        ends = (value, value if limit is None else limit)
        if not kind:
            ends = (_as_stored(ends[0], layout), _as_stored(ends[1], layout))
        return min(ends), max(ends)
    return None


def _as_stored(value: float, layout: Layout) -> float:
    """A value that was written without a sign, or with one, as pixels have it: 63536 is -2000 in 16 bits."""
    if layout.lowest <= value <= layout.highest:
        return value
    word = int(value) & ((1 << layout.stored) - 1)
    return word - (1 << layout.stored) if word > layout.highest else word


def _table(header: Header, sequence: str, signed: bool) -> Table | None:
    items = header.items(sequence)
    if not items:
        return None
    return _entries(header.item(items[0]), "LUTDescriptor", "LUTData", signed, sequence, header)


def _palette(header: Header) -> Table:
    """The palette of a gray picture that was saved with one."""
    tables = []
    for color in ("Red", "Green", "Blue"):
        name = f"{color}PaletteColorLookupTable"
        tables.append(_entries(header, f"{name}Descriptor", f"{name}Data", False, _PALETTE, header))
    if len({(table.first, len(table.entries)) for table in tables}) > 1:
        raise header.refusal("the palettes of red, green and blue have different lengths")
    colors = np.stack([table.entries for table in tables])
    if np.ptp(colors, axis=0).max() > _HUE * max(1.0, float(colors.max())):
        raise header.refusal("expected gray pixels, got PALETTE COLOR with a palette of color", "format")
    return Table(tables[0].first, colors.mean(0, dtype=np.float32))


def _entries(header: Header, descriptor: str, data: str, signed: bool, what: str, owner: Header) -> Table:
    described = header.numbers(descriptor, 3)
    if described is None:
        raise owner.refusal(f"{what} without {descriptor}")
    count, first, bits = (int(value) for value in described)
    count = (count & 0xFFFF) or 2**16  # as the standard says of 0
    if signed and first >= 2**15:  # written without the sign that it has
        first -= 2**16
    raw = header.raw(data)
    width = 1 if len(raw) < 2 * count else 2
    if len(raw) < count or not 8 <= bits <= 16:
        raise owner.refusal(f"{what}: {data} has {len(raw)} bytes for {count} entries of {bits} bits")
    order = ">" if header.is_big_endian and width == 2 else "<"
    entries = np.frombuffer(raw, f"{order}u{width}", count=count)
    return Table(first, entries.astype(np.float32))
