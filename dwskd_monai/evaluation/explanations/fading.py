"""Which parts of a slice are hidden in turn, so that it is seen how much each of them counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PLACES = 8  # of a side


def fades(rows: int, columns: int) -> NDArray[np.float32]:
    """How much each place hides of each pixel ``(64, rows, columns)``: a Gaussian, 1 at its center."""
    down, across = _bumps(rows), _bumps(columns)
    return (down[:, None, :, None] * across[None, :, None, :]).reshape(-1, rows, columns)


def _bumps(length: int) -> NDArray[np.float32]:
    """Gaussians ``(8, length)`` around the centers of eight parts of a line; their deviation is such a part."""
    part = length / PLACES
    centers = (np.arange(PLACES, dtype=np.float32) + np.float32(0.5)) * np.float32(part) - np.float32(0.5)
    distances = (np.arange(length, dtype=np.float32) - centers[:, None]) / np.float32(part)
    return np.asarray(np.exp(-(distances**2) / 2), np.float32)
