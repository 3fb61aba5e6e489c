"""Shapes that phantoms are drawn with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float64]


def soft_ellipse(u: Pixels, v: Pixels, cu: float, cv: float, ru: float, rv: float, edge: float) -> Pixels:
    """A soft ellipse of height 1 with center (cu, cv) and half axes (ru, rv)."""
    radius = np.sqrt(((u - cu) / ru) ** 2 + ((v - cv) / rv) ** 2)
    return 1 / (1 + np.exp(edge * 2 * (radius - 1)))


def grid(shape: Iterable[int], affine: Pixels) -> list[Pixels]:
    """Places of pixels in mm along x, y and z, ``(X, 1, 1)``, ``(1, Y, 1)`` and ``(1, 1, Z)``.

    Args:
        shape: ``(X, Y, Z)``.
        affine: without rotation.
    """
    places = [np.arange(n) * affine[axis, axis] + affine[axis, 3] for axis, n in enumerate(shape)]
    return list(np.ix_(*places))


def soft_ellipsoid(points: Sequence[Pixels], center: Pixels, radii: Pixels, edge: float) -> Pixels:
    """A soft ellipsoid of height 1; ``points`` is of :func:`grid`, ``center`` and ``radii`` are ``(3,)``, in mm.

    ``edge`` is the width in mm over which it falls off.
    """
    x, y, z = (((places - middle) / radius) ** 2 for places, middle, radius in zip(points, center, radii))
    radius = np.sqrt(x + y + z)
    return 1 / (1 + np.exp(np.clip((radius - 1) * radii.min() / edge * 4, -50, 50)))
