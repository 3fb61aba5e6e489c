"""Volumes brought to one orientation: slices as a radiologist sees them, patient's left at the right of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

# Where slices, rows and columns go: L(eft), P(osterior), S(uperior), I(nferior).
_PLANES = {"axial": ("S", "P", "L"), "coronal": ("P", "I", "L"), "sagittal": ("L", "I", "P")}
SLICE_AXES = (*_PLANES, "thickest")
_ACROSS = ("sagittal", "coronal", "axial")  # slices across the axes left-right, anterior-posterior, up-down


@dataclass(frozen=True)
class Volume:
    """Pixels as a file has them.

    Args:
        pixels: three axes in any order.
        kind: ``picture``, ``nifti``, or the DICOM modality, ``CT`` for instance.
        affine: ``(4, 4)`` from pixel indices to mm, right-anterior-superior as in NIfTI; None where there is none:
            the axes are then slice, row, column.
        spacing: mm per pixel and axis, used where there is no affine.
    """

    pixels: Pixels
    kind: str
    affine: NDArray[np.float64] | None
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Study:
    """All slices of one examination.

    Args:
        pixels: ``(D, H, W)``, from inferior to superior, anterior to posterior, or right to left.
        spacing: mm between slices, rows and columns; ones for a picture.
        plane: ``axial``, ``coronal`` or ``sagittal``; None where the file does not tell.
        kind: as in :class:`Volume`.
    """

    pixels: Pixels
    spacing: tuple[float, float, float]
    plane: str | None
    kind: str


def checked_slice_axis(slice_axis: str) -> str:
    """``slice_axis``, if it is one of ``SLICE_AXES``; raises ValueError if it is not."""
    if slice_axis not in SLICE_AXES:
        raise ValueError(f"slice_axis must be one of {', '.join(SLICE_AXES)}; got {slice_axis!r}")
    return slice_axis


def to_study(volume: Volume, slice_axis: str, path: Path) -> Study:
    """Turn and mirror the axes (no pixel changes its value) and cut across ``slice_axis``.

    Raises:
        ValueError: if the affine has zero, NaN or infinite axes, or the volume cannot be cut across that axis.
    """
    if volume.affine is None:
        return Study(volume.pixels, volume.spacing, None, volume.kind)
    shape, spacing = volume.pixels.shape, _checked_spacing(volume.affine, path)
    orientation = io_orientation(volume.affine)
    planes = [_ACROSS[int(world)] for world in orientation[:, 0]]  # that the slices across each pixel axis are
    flat = [axis for axis in range(3) if shape[axis] == 1]
    if len(flat) > 1:
        raise ValueError(f"{path}: a volume of {_times(shape)} pixels has no slice with an area")
    if flat:
        plane = planes[flat[0]]
        if slice_axis not in (plane, "thickest"):
            raise ValueError(f"{path}: its only slice is {plane}, slice_axis is {slice_axis}")
    elif slice_axis == "thickest":
        plane = _thickest(spacing, planes)
    else:
        plane = slice_axis
    target = axcodes2ornt(_PLANES[plane])
    transform = ornt_transform(orientation, target)
    turned = volume.affine @ inv_ornt_aff(transform, shape)
    between, rows, columns = (float(value) for value in voxel_sizes(turned))
    return Study(apply_orientation(volume.pixels, transform), (between, rows, columns), plane, volume.kind)


def _checked_spacing(affine: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    if not np.isfinite(affine).all():
        raise ValueError(f"{path}: its affine has NaN or infinite entries, so its orientation is unknown")
    spacing = voxel_sizes(affine)
    if (spacing <= 0).any() or abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise ValueError(
            f"{path}: its affine has a zero or parallel axis (spacing {', '.join(f'{s:g}' for s in spacing)} mm), so "
            "its orientation is unknown; write the file again with a valid sform or qform"
        )
    return spacing


def _thickest(spacing: NDArray[np.float64], planes: Sequence[str]) -> str:
    largest = int(spacing.argmax())
    return planes[largest] if spacing[largest] > 1.1 * np.sort(spacing)[1] else "axial"


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
