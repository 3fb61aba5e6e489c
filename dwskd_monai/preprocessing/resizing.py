"""Resizing slices by area, as two matrix products: ``rows · pixels · columnsᵀ``.

Each new pixel is a weighted mean of the old ones along each axis. So one matrix of weights per axis describes the whole
resizing, for any size, and gives the same numbers wherever matrices can be multiplied: here in numpy, in an exported
graph, in a browser. An example with three old pixels and two new ones::

    old cells    |   0   |   1   |   2   |
    new cells    |     0     |     1     |      each covers one and a half old cells

    weights      [[2/3, 1/3,  0 ],
                  [ 0 , 1/3, 2/3]]

``torch.nn.functional.interpolate(mode="area")`` extends the new cells to whole old ones, so neighboring new pixels
share old ones with full weight: it is right only at integer ratios.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
AsRead = Pixels | NDArray[np.int16]
_SLAB = 32  # slices that are copied at full resolution at a time
# New pixels that are computed at a time. They need a narrow band of the old ones; most of a matrix of weights is zeros,
# which are never touched. Products this small also stay in one thread of BLAS: its threads wait for each other, and on
# a loaded machine that took six times as long.
_BAND = 8


def resize(pixels: AsRead, size: tuple[int, int]) -> Pixels:
    """Slices ``(..., D, H, W)`` in float32 at another size ``(height, width)``, slice by slice.

    Args:
        pixels: of any strides, in float32 or int16; mirrored and turned views are copied a few slices at a time.
        size: rows and columns of the result, 1 or more.

    Examples:
        >>> resize(np.array([[[0, 3, 6]]], np.float32), (1, 2)).tolist()
        [[[1.0, 5.0]]]
    """
    rows = _bands(pixels.shape[-2], size[0])
    columns = _bands(pixels.shape[-1], size[1])
    slices = pixels.reshape(-1, *pixels.shape[-2:])
    resized = np.empty((len(slices), *size), np.float32)
    for first in range(0, len(slices), _SLAB):
        slab = np.ascontiguousarray(slices[first : first + _SLAB], dtype=np.float32)
        with_rows = np.empty((len(slab), size[0], slab.shape[2]), np.float32)
        for band in rows:
            with_rows[:, band.new] = band.weights @ slab[:, band.old]
        for band in columns:
            resized[first : first + _SLAB, :, band.new] = with_rows[..., band.old] @ band.weights.T
    return resized.reshape(*pixels.shape[:-2], *size)


class _Band(NamedTuple):
    """Neighboring new pixels (``new``), the old pixels that they are made of (``old``), and the weights of these."""

    new: slice
    old: slice
    weights: Pixels


@functools.lru_cache(maxsize=64)
def _bands(length: int, new_length: int) -> tuple[_Band, ...]:
    """The parts of :func:`axis_weights` that are not zero."""
    weights = axis_weights(length, new_length)
    bands = []
    for first in range(0, new_length, _BAND):
        new = slice(first, first + _BAND)
        used = np.flatnonzero(weights[new].any(axis=0))
        old = slice(int(used[0]), int(used[-1]) + 1)
        bands.append(_Band(new, old, weights[new, old]))
    return tuple(bands)


def axis_weights(length: int, new_length: int) -> Pixels:
    """The weights ``(new_length, length)`` of the old pixels in each new one; each row sums to 1.

    If the axis becomes shorter, each new pixel is the mean over its area (:func:`area_weights`). If it becomes longer,
    it is interpolated linearly (:func:`linear_weights`): the area of a new pixel then lies within one old pixel, so
    means would show the old pixels as blocks.

    Examples:
        >>> axis_weights(4, 2).tolist()
        [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    weights = area_weights if new_length <= length else linear_weights
    return weights(length, new_length)


def area_weights(length: int, new_length: int) -> Pixels:
    """The share of each old cell in each new one: the length of their overlap over the length of the new cell."""
    edges = np.arange(new_length + 1) * (length / new_length)
    old = np.arange(length)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return np.asarray(overlap.clip(min=0) * (new_length / length), dtype=np.float32)


def linear_weights(length: int, new_length: int) -> Pixels:
    """Linear interpolation between the centers of the two nearest old cells; beyond the outermost, their value."""
    centers = ((np.arange(new_length) + 0.5) * (length / new_length) - 0.5).clip(0, length - 1)
    return np.asarray((1 - np.abs(centers[:, None] - np.arange(length))).clip(min=0), dtype=np.float32)
