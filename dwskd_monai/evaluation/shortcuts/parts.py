"""Parts of images in which a disease should not be seen, or not all of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

BORDER = (0.15, 0.1)  # of rows and columns, on each side: all but the central 70 % by 80 %
BLURRED_SIDE = 8  # means of a side that are left of a blurred image
SIDE = 32  # pixels of a thumbnail


def is_border(rows: int, columns: int) -> NDArray[np.bool_]:
    """Which pixels of an image are its borders: ``(rows, columns)``.

    Examples:
        >>> int(is_border(20, 20).sum())  # all but 14 × 16 pixels
        176
    """
    border = np.ones((rows, columns), dtype=bool)
    above, beside = round(BORDER[0] * rows), round(BORDER[1] * columns)
    border[above : rows - above, beside : columns - beside] = False
    return border


def only_borders(images: Tensor) -> Tensor:
    """Images ``(B, C, H, W)`` whose center is 0, the mean gray of standardized intensities."""
    return images * _mask(images)


def only_center(images: Tensor) -> Tensor:
    """Images whose borders are 0."""
    return images * ~_mask(images)


def blurred(images: Tensor) -> Tensor:
    """Images of which the means of 8 × 8 cells are left, with smooth transitions."""
    means = adaptive_avg_pool2d(images, BLURRED_SIDE)
    return interpolate(means, size=images.shape[2:], mode="bilinear", align_corners=False)


PARTS: dict[str, Callable[[Tensor], Tensor]] = {"borders": only_borders, "center": only_center, "blurred": blurred}


def thumbnail(image: Tensor) -> NDArray[np.float32]:
    """An image ``(C, H, W)`` as ``(32, 32)``: the mean of its channels, resized by area."""
    small: NDArray[np.float32] = adaptive_avg_pool2d(image.float().mean(0, keepdim=True), SIDE)[0].numpy()
    return small


def thumbnail_parts(thumbnails: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """The same parts as features ``(N, F)`` of thumbnails ``(N, 32, 32)``."""
    border = is_border(SIDE, SIDE)
    cell = SIDE // BLURRED_SIDE
    cells = thumbnails.reshape(len(thumbnails), BLURRED_SIDE, cell, BLURRED_SIDE, cell).mean((2, 4))
    return {
        "borders": thumbnails[:, border].astype(float),
        "center": thumbnails[:, ~border].astype(float),
        "blurred": cells.reshape(len(cells), -1).astype(float),
    }


def _mask(images: Tensor) -> Tensor:
    return torch.from_numpy(is_border(*images.shape[2:])).to(images.device)
