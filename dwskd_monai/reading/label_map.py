"""Label maps, the masks of a segmentation: volumes whose values stand for organs, not for brightness.

They are recognized by their values alone. An image that was saved with few gray values still has noise, so that
neighbors differ by one value here and there; a label map has large areas of one value with clean borders. The darkest,
brightest and most frequent values are left out, since images too have areas of these: background, saturation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.reading.image import Image, Pixels
from dwskd_monai.reading.refusal import RefusedImage

_SMALLEST = 1024  # pixels; a smaller image may have few values by chance
_SAMPLED = (2**11, 2**14)  # pixels that tell that an image has many values; most do so with the first number
_SLICES = 32  # that are looked at closely
# No image of a patient has as few values as these, not even one that was saved with 4 bits
_FEW = 8
# More may be labels. Of 1,200 radiographs, CT and MR slices that were tried as they are, cropped, enlarged, and with 64
# and 32 gray values, only one crop of a white margin meets all of these
_MANY = 128
_LEAST_EQUAL = 0.75  # of the neighbors
_LEAST_JUMPS = 0.1  # of the borders; brightness that fades goes on to the next value
_MOST_SINGLE = 0.04  # of the pixels; they differ from both of their neighbors


def refuse_label_map(image: Image, path: Path) -> None:
    """Refuse a volume, or a slice of one, whose values are labels; pictures and radiographs are not judged.

    Raises:
        RefusedImage: with the number of values.
    """
    is_slices = image.kind == "volume" or image.plane is not None
    if not is_slices or image.pixels.size < _SMALLEST:
        return
    if any(len(_sample(image.pixels, count)) > _MANY for count in _SAMPLED):
        return
    values = _values(image.pixels)
    if len(values) <= _FEW:
        what = f"its pixels have {len(values)} values, {values[0]:g} to {values[-1]:g}"
    elif len(values) <= _MANY and np.array_equal(values, np.rint(values)) and _has_areas(image.pixels, values):
        what = (
            f"its pixels have {len(values)} whole values, {values[0]:g} to {values[-1]:g}, in areas of one value each"
        )
    else:
        return
    reason = f"{what}: labels of a segmentation, not an image; give the image that they were drawn on"
    raise RefusedImage(path, reason, "content")


def _sample(pixels: Pixels, count: int) -> NDArray[np.generic]:
    """The values of about so many pixels, in a fraction of the time that all would take."""
    across = max(1, int(np.sqrt(pixels[:: _step(pixels)].size / count)))
    return np.unique(pixels[:: _step(pixels), ::across, ::across])


def _step(pixels: Pixels) -> int:
    return max(1, len(pixels) // _SLICES)


def _values(pixels: Pixels) -> NDArray[np.float32]:
    """All values of an image; if they are too many for labels, the first of them."""
    values = np.empty(0, np.float32)
    for plane in pixels:
        values = np.union1d(values, plane)
        if len(values) > _MANY:
            break
    return values


def _has_areas(pixels: Pixels, values: NDArray[np.float32]) -> bool:
    """Whether nearly all neighbors along rows are equal, and single pixels of another value are rare."""
    chosen = pixels[:: _step(pixels)]
    counts = [int((chosen == value).sum()) for value in values]
    left_out = [values[0], values[-1], values[int(np.argmax(counts))]]
    inner = ~np.isin(chosen, left_out)
    both = inner[..., 1:] & inner[..., :-1]
    middle = inner[..., 1:-1]
    if both.sum() < _SMALLEST // 8 or not middle.any():
        return False
    differs = chosen[..., 1:] != chosen[..., :-1]
    single = differs[..., 1:] & differs[..., :-1]
    ranks = np.searchsorted(values, chosen)
    jumps = np.abs(np.diff(ranks, axis=-1))[both & differs] > 1
    return bool(
        (~differs[both]).mean() >= _LEAST_EQUAL
        and single[middle].mean() <= _MOST_SINGLE
        and jumps.size > 0
        and jumps.mean() >= _LEAST_JUMPS
    )
