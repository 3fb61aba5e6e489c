"""Volumes brought to one orientation: slices as a radiologist sees them, patient's left at the right of the picture."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

from dwskd_monai.reading.image import Image, Volume
from dwskd_monai.reading.refusal import RefusedImage, refusing
from dwskd_monai.reading.slice_axis import PLANES, choose_plane

_logger = logging.getLogger(__name__)
# mm that any image of a patient can have
BETWEEN_PIXELS = (0.005, 100.0)
BETWEEN_SLICES = (0.1, 100.0)
# Where slices, rows and columns go: L(eft), P(osterior), S(uperior), I(nferior).
_AXES = {"axial": ("S", "P", "L"), "coronal": ("P", "I", "L"), "sagittal": ("L", "I", "P")}


def to_image(volume: Volume, slice_axis: str, path: Path) -> Image:
    """Turn and mirror the axes (no pixel changes its value) and cut across ``slice_axis``.

    Raises:
        RefusedImage: if the affine has zero, NaN or infinite axes, or the volume cannot be cut across that axis.
    """
    shape = volume.pixels.shape
    spacing = _checked_spacing(volume, path)
    with refusing(path, "its orientation cannot be read", "geometry"):
        orientation = io_orientation(volume.affine)
    planes = [PLANES[int(world)] for world in orientation[:, 0]]  # that the slices across each pixel axis are
    plane = choose_plane(slice_axis, shape, spacing, planes, path)
    if volume.kind != "volume" and plane != planes[0]:  # DICOM's first axis is that of its slices; NIfTI's may be any
        _logger.warning("%s: its slices are %s, and it is cut into %s ones (slice_axis)", path, planes[0], plane)
    target = axcodes2ornt(_AXES[plane])
    transform = ornt_transform(orientation, target)
    turned = volume.affine @ inv_ornt_aff(transform, shape)
    between, rows, columns = (float(value) for value in voxel_sizes(turned))
    pixels = apply_orientation(volume.pixels, transform)
    refuse_implausible((between, rows, columns), len(pixels), volume.told_by, path)
    if len(pixels) == 1:  # a mirrored view has negative strides, which torch does not take; of a volume a copy is large
        pixels = pixels.copy()
    return Image(pixels, (between, rows, columns), plane, volume.kind, volume.padding, volume.says)


def refuse_implausible(spacing: tuple[float, float, float], count: int, told_by: str, path: Path) -> None:
    """Refuse distances that no image of a patient has, such as those in a unit other than mm.

    Args:
        spacing: mm between slices, rows and columns.
        count: of slices; if there is only one, the first distance means nothing.
        told_by: which fields of the file tell them, for messages.
        path: of the image.

    Raises:
        RefusedImage: with the distance and what tells it.
    """
    between, *shape = spacing
    if count > 1 and not _within(between, BETWEEN_SLICES):
        what, (low, high) = f"its slices are {between:.4g} mm apart", BETWEEN_SLICES
    elif not all(_within(size, BETWEEN_PIXELS) for size in shape):
        what, (low, high) = f"its pixels are {shape[0]:.4g} × {shape[1]:.4g} mm", BETWEEN_PIXELS
    else:
        return
    raise RefusedImage(path, f"{what} ({told_by}); expected {low:g} to {high:g} mm; is the unit another?", "geometry")


def _within(size: float, limits: tuple[float, float]) -> bool:
    """Whether a size is within the limits, up to rounding; NaN is not."""
    return limits[0] * 0.99 <= size <= limits[1] * 1.01


def _checked_spacing(volume: Volume, path: Path) -> NDArray[np.float64]:
    affine = volume.affine
    if not np.isfinite(affine).all():
        raise RefusedImage(path, "its affine has NaN or infinite entries, so its orientation is unknown", "geometry")
    spacing = voxel_sizes(affine)
    if (spacing <= 0).any() or abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise RefusedImage(
            path,
            f"its affine has a zero or parallel axis (spacing {', '.join(f'{s:g}' for s in spacing)} mm), so its "
            f"orientation is unknown; write the file again with a valid one ({volume.told_by})",
            "geometry",
        )
    return spacing
