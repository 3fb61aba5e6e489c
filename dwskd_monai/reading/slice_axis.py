"""Across which axis a volume is cut into slices. A new way is a function and a row of ``SLICE_AXES``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.reading.refusal import RefusedImage

PLANES = ("sagittal", "coronal", "axial")  # slices across the axes left-right, anterior-posterior, up-down
UNKNOWN_PLANE = "unknown"  # of pictures, and of files that do not tell
Spacing = NDArray[np.float64]  # mm along each pixel axis
Shape = tuple[int, ...]  # pixels along each pixel axis
Rule = Callable[[Shape, Spacing, Sequence[str]], str]  # from these, and the plane across each pixel axis, to the plane


def thickest(shape: Shape, spacing: Spacing, planes: Sequence[str]) -> str:
    """Across the axis of the largest spacing; axial if no spacing is more than a tenth above the others."""
    largest = int(spacing.argmax())
    return planes[largest] if spacing[largest] > 1.1 * np.sort(spacing)[1] else "axial"


def _always(plane: str) -> Rule:
    return lambda shape, spacing, planes: plane


SLICE_AXES: dict[str, Rule] = {
    "axial": _always("axial"),
    "coronal": _always("coronal"),
    "sagittal": _always("sagittal"),
    "thickest": thickest,
}


def checked_slice_axis(slice_axis: str) -> str:
    """``slice_axis``, if it is one of ``SLICE_AXES``; raises ValueError if it is not."""
    if slice_axis not in SLICE_AXES:
        raise ValueError(f"slice_axis must be one of {', '.join(SLICE_AXES)}; got {slice_axis!r}")
    return slice_axis


def choose_plane(slice_axis: str, shape: Shape, spacing: Spacing, planes: Sequence[str], path: Path) -> str:
    """The plane of a volume's slices.

    Args:
        slice_axis: one of ``SLICE_AXES``.
        shape: of the pixels; an axis of length 1 leaves no choice.
        spacing: mm along each axis.
        planes: the plane of the slices across each axis.
        path: of the volume, for messages.

    Raises:
        RefusedImage: if the volume is a line or a point, or its only slice is of another plane than asked for.
    """
    flat = [axis for axis, length in enumerate(shape) if length == 1]
    if len(flat) > 1:
        raise RefusedImage(
            path, f"a volume of {' × '.join(map(str, shape))} pixels has no slice with an area", "geometry"
        )
    if not flat:
        return SLICE_AXES[slice_axis](shape, spacing, planes)
    only = planes[flat[0]]
    if slice_axis in PLANES and slice_axis != only:
        raise RefusedImage(path, f"its only slice is {only}, slice_axis is {slice_axis}", "geometry")
    return only
