"""Slices that fit a square: the size that they get, and the margin that fills the square."""

from __future__ import annotations

import numpy as np

from dwskd_monai.preprocessing.resizing import AsRead, Pixels, resize

Spacing = tuple[float, float, float]  # mm between slices, rows and columns


def fit(pixels: AsRead, spacing: Spacing, image_size: int, keep_aspect: bool) -> Pixels:
    """Slices ``(..., D, H, W)`` resized to ``(..., D, h, w)``, both at most ``image_size`` and one of them equal to it.

    Args:
        pixels: the slices.
        spacing: mm between slices, rows and columns.
        image_size: side of the square in pixels.
        keep_aspect: True gives the side that is longer in mm this size, and the other side follows, whatever the shape
            of the pixels; False stretches each slice to the square.

    Examples:
        >>> slices = np.zeros((1, 1, 100, 200), np.float32)
        >>> fit(slices, (5.0, 1.0, 1.0), image_size=64, keep_aspect=True).shape
        (1, 1, 32, 64)
        >>> fit(slices, (5.0, 1.0, 1.0), image_size=64, keep_aspect=False).shape
        (1, 1, 64, 64)
    """
    return resize(pixels, fitted_size(pixels.shape[-2], pixels.shape[-1], spacing, image_size, keep_aspect))


def fitted_size(height: int, width: int, spacing: Spacing, image_size: int, keep_aspect: bool) -> tuple[int, int]:
    """Rows and columns that a slice of ``height`` by ``width`` pixels gets; see :func:`fit`."""
    if not keep_aspect:
        return image_size, image_size
    _, between_rows, between_columns = spacing
    height_mm = height * between_rows
    width_mm = width * between_columns
    scale = image_size / max(height_mm, width_mm)
    return _whole_pixels(height_mm * scale), _whole_pixels(width_mm * scale)


def _whole_pixels(side: float) -> int:
    """Rounded twice, so that the last digit of a spacing does not decide."""
    return max(1, round(round(side, 3)))


def pad(pixels: Pixels, image_size: int) -> Pixels:
    """Slices ``(..., h, w)`` in the middle of a square of zeros; an odd row or column of zeros is at the far end.

    Examples:
        >>> pad(np.ones((1, 2), np.float32), 2).tolist()
        [[1.0, 1.0], [0.0, 0.0]]
    """
    margins = [(0, 0)] * (pixels.ndim - 2)
    for length in pixels.shape[-2:]:
        missing = max(0, image_size - length)
        margins.append((missing // 2, missing - missing // 2))
    return np.pad(pixels, margins)
