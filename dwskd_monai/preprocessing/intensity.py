"""Scales intensities of any unit to [0, 1], and normalizes them as the networks were pretrained with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dwskd_monai.preprocessing.resizing import AsRead, Pixels

Range = Sequence[float]  # the values that become 0 and 1
# Kinds of images whose values have a meaning here, see dwskd_monai.reading.Image
PICTURE = "picture"
VOLUME = "volume"
CT = "CT"


def scale_range(pixels: AsRead, low: float, high: float) -> Pixels:
    """Scale linearly: ``low`` and less become 0, ``high`` and more become 1; all become 0 if the two are equal."""
    if high == low:
        return np.zeros(pixels.shape, np.float32)
    # in place: a volume is large
    scaled = pixels - np.float32(low)
    scaled /= np.float32(high - low)
    return np.asarray(np.clip(scaled, 0, 1, out=scaled))


def scale_percentiles(pixels: AsRead, lower: float, upper: float, padding: float = 0.0) -> Pixels:
    """Scale so that two percentiles of all pixels become 0 and 1; 8-bit, 16-bit and arbitrary units then look alike.

    Args:
        pixels: of a whole image, of any shape.
        lower: percentile that becomes 0, in [0, 100].
        upper: percentile that becomes 1.
        padding: share of the pixels that the percentiles leave out, the darkest ones. With a share of 0.2, the median
            of the others is the 60th percentile of all.
    """
    return scale_range(pixels, *percentiles(pixels, lower, upper, padding))


def percentiles(pixels: AsRead, lower: float, upper: float, padding: float = 0.0) -> tuple[float, float]:
    """The values that become 0 and 1; see :func:`scale_percentiles`."""
    ranks = np.minimum([100 * padding + (1 - padding) * rank for rank in (lower, upper)], 100)
    low, high = np.percentile(np.asarray(pixels, np.float32), ranks)  # of 16 bits they may overflow
    return float(low), float(high)


def window(pixels: Pixels, ranges: Sequence[Range]) -> Pixels:
    """From one channel ``(1, ...)`` to one channel per range, each in [0, 1]: ``(C, ...)``."""
    return np.concatenate([scale_range(pixels, low, high) for low, high in ranges])


def window_ranges(windows: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Black and white of each window of width and level in Hounsfield units.

    Raises:
        ValueError: unless ``windows`` has one or more pairs of a width > 0 and a level.

    Examples:
        >>> window_ranges([[1500, -600], [400, 40]])
        [(-1350.0, 150.0), (-160.0, 240.0)]
    """
    if not windows or any(len(pair) != 2 or not pair[0] > 0 for pair in windows):
        raise ValueError(f"windows must be pairs of width > 0 and level in HU, such as [[1500, -600]]; got {windows}")
    return [(level - width / 2, level + width / 2) for width, level in windows]


def checked_picture_range(picture_range: Range | None) -> Range | None:
    """Black and white of pictures that are already windowed; raises ValueError unless black is less than white."""
    if picture_range is not None and (len(picture_range) != 2 or not picture_range[0] < picture_range[1]):
        raise ValueError(f"picture_range must be [black, white], such as [0, 255], or null; got {picture_range}")
    return picture_range


def ranges_of_kind(kind: str, ranges: Sequence[Range], picture_range: Range | None) -> Sequence[Range]:
    """The ranges with which an image of a kind is windowed.

    Args:
        kind: ``picture``, ``volume``, or the DICOM modality.
        ranges: of the windows.
        picture_range: of pictures; None refuses them.

    Raises:
        ValueError: for an image that is not in Hounsfield units.
    """
    if kind == PICTURE:
        if picture_range is None:
            raise ValueError(
                "a picture has no Hounsfield units; if pictures were windowed before they were saved, "
                "set picture_range, such as --picture_range '[0,255]'"
            )
        if len(ranges) > 1:
            raise ValueError(f"a picture has one window already, but {len(ranges)} windows are configured")
        return [picture_range]
    if kind not in (CT, VOLUME):
        raise ValueError(f"a DICOM image of modality {kind} has no Hounsfield units; expected CT")
    return ranges


def refuse_beyond(pixels: Pixels, picture_range: Range) -> None:
    """Refuse a picture with values outside its ``picture_range``.

    Args:
        pixels: of the picture.
        picture_range: its black and white.

    Raises:
        ValueError: if a value is beyond black or white.
    """
    low, high = float(pixels.min()), float(pixels.max())
    rounding = 1e-3 * (picture_range[1] - picture_range[0])
    if low < picture_range[0] - rounding or high > picture_range[1] + rounding:
        raise ValueError(
            f"its pixels are {low:g} to {high:g}, beyond picture_range [{picture_range[0]:g}, "
            f"{picture_range[1]:g}]; set picture_range to the black and white of these pictures ([0, 65535] for 16 "
            "bits), or save them with 8 bits"
        )


def normalize(pixels: Pixels, mean: float, std: float) -> Pixels:
    """``(pixels - mean) / std``."""
    normalized = pixels - np.float32(mean)
    normalized /= np.float32(std)
    return normalized
