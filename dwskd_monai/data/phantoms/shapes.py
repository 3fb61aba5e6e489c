"""Shapes that phantoms are drawn with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float64]


def soft_ellipse(u: Pixels, v: Pixels, cu: float, cv: float, ru: float, rv: float, edge: float) -> Pixels:
    """A soft ellipse of height 1 with center (cu, cv) and half axes (ru, rv)."""
    radius = np.sqrt(((u - cu) / ru) ** 2 + ((v - cv) / rv) ** 2)
    return 1 / (1 + np.exp(edge * 2 * (radius - 1)))


def soft_ellipsoid(points: Pixels, center: Pixels, radii: Pixels, edge: float) -> Pixels:
    """A soft ellipsoid of height 1; ``points`` is ``(..., 3)``, ``center`` and ``radii`` are ``(3,)``, in mm.

    ``edge`` is the width in mm over which it falls off.
    """
    radius = np.sqrt((((points - center) / radii) ** 2).sum(-1))
    return 1 / (1 + np.exp(np.clip((radius - 1) * radii.min() / edge * 4, -50, 50)))
