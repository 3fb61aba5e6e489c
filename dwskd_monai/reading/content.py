"""What every image must have, whatever its format: finite pixels, three or more values, and an area."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from dwskd_monai.reading.image import Image
from dwskd_monai.reading.refusal import RefusedImage

_SHORTEST = 4  # pixels of a side; fewer are not a picture


def refuse_empty(image: Image, path: Path) -> None:
    """Refuse an image that shows nothing; a volume is judged as a whole, since a slice of air is constant.

    Raises:
        RefusedImage: for pixels that are not finite, one or two values, or fewer than 4 rows or columns.
    """
    _refuse_non_finite(image, path)
    _, rows, columns = image.pixels.shape
    if min(rows, columns) < _SHORTEST:
        reason = f"{rows} × {columns} pixels; expected {_SHORTEST} or more rows and columns"
        raise RefusedImage(path, reason, "content")
    values = _first_values(image)
    if len(values) == 1:
        raise RefusedImage(path, f"all of its pixels are {values[0]:g}; it shows nothing", "content")
    if len(values) == 2:
        reason = f"its pixels have two values, {values[0]:g} and {values[1]:g}; it is a mask or a drawing, not an image"
        raise RefusedImage(path, reason, "content")


def _refuse_non_finite(image: Image, path: Path) -> None:
    """Slice by slice: a mask of a whole volume would take a quarter of its memory once more."""
    # the sum of the least and the largest value is not finite if a pixel is not; to look at each pixel takes longer
    suspects = [pixels for pixels in image.pixels if not np.isfinite(float(pixels.min()) + float(pixels.max()))]
    count = sum(int((~np.isfinite(pixels)).sum()) for pixels in suspects)
    if count:
        reason = f"{count} of {image.pixels.size} pixels are NaN or infinite; fix or remove the file"
        raise RefusedImage(path, reason, "content")


def _first_values(image: Image) -> list[float]:
    """Up to three values of the pixels, found row by row; most images have three in one of the first rows."""
    found: list[float] = []
    for row in itertools.chain.from_iterable(image.pixels):
        rest = row
        for value in found:
            rest = rest[rest != value]
        while rest.size and len(found) < 3:
            found.append(float(rest[0]))
            rest = rest[rest != rest[0]]
        if len(found) == 3:
            break
    return found
