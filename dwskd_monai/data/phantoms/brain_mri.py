"""Contrast-enhanced T1 brain MRI: NIfTI of different planes, orientations and spacings, in arbitrary units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dwskd_monai.data.phantoms.shapes import Pixels, grid, soft_ellipsoid
from dwskd_monai.data.phantoms.writing import write_nifti

CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")
COUNT = 96
LEAST = 60
MOST_PER_PATIENT = 2
_CODES = ("RAS", "LPS", "LAS", "PSR", "ASL")


def write(name: str, path: Path, index: int, patient: str, rng: np.random.Generator) -> Path:
    """One study, cut across z, y or x in turn."""
    volume, affine = brain_mri(name, rng, across=(2, 1, 0)[index % 3])
    path = path.with_suffix(".nii.gz")
    write_nifti(volume, affine, path, _CODES[index % len(_CODES)])
    return path


def brain_mri(name: str, rng: np.random.Generator, across: int = 2) -> tuple[Pixels, NDArray[np.float64]]:
    """Pixels ``(x, y, z)`` in arbitrary units, axes to the right, front and top, and their affine.

    ``glioma`` is large, dark inside with a bright irregular rim, in one hemisphere; ``meningioma`` bright, even and
    round at the surface; ``pituitary`` bright and small in the midline at the base; ``no_tumor`` has none.

    Args:
        name: the class.
        rng: of anatomy, lesion, noise, gain and spacing.
        across: axis of the thick slices, 0, 1 or 2 for sagittal, coronal, axial.
    """
    center, lesion_radii = _place(name, rng)
    spacing = np.full(3, rng.uniform(2.0, 2.6))
    spacing[across] = rng.uniform(4.5, 6.5)
    shape = np.full(3, 88)
    shape[across] = rng.integers(10, 15)
    middle = np.zeros(3)
    middle[across] = np.clip(center[across] + rng.normal(0, 5), -45, 45)  # the slab goes through the lesion
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = middle - spacing * (shape - 1) / 2
    points = grid(shape, affine)
    size = rng.normal(1, 0.03, 3)
    head, skull, brain = (
        soft_ellipsoid(points, np.zeros(3), np.array(radii) * size, 1.5)
        for radii in ([80.0, 96, 92], [74.0, 90, 86], [68.0, 84, 80])
    )
    folds = gaussian_filter(rng.normal(0, 1, tuple(shape)), 5 / spacing)
    volume = 0.8 * head - 0.65 * skull + 0.4 * brain + 0.25 * brain * np.tanh(folds / folds.std())
    for side in (-1, 1):  # ventricles
        volume -= 0.35 * soft_ellipsoid(points, np.array([side * 9.0, 0, 10]), np.array([6.0, 26, 12]) * size, 2)
    if name == "glioma":
        wobble = 1 + 0.25 * np.tanh(gaussian_filter(rng.normal(0, 1, tuple(shape)), 10 / spacing) * 20)
        outer = soft_ellipsoid(points, center, lesion_radii, 2) * wobble
        core = soft_ellipsoid(points, center, lesion_radii * 0.7, 2)
        volume += brain * (0.75 * outer - 1.1 * core)
    elif name != "no_tumor":
        volume += 0.75 * soft_ellipsoid(points, center, lesion_radii, 1.5) * skull
    volume *= 1 + 0.15 * np.tanh(gaussian_filter(rng.normal(0, 1, tuple(shape)), 40 / spacing) * 200)  # uneven coil
    volume = np.clip(volume + rng.normal(0, 0.03, tuple(shape)), 0, None)
    return volume * rng.uniform(200, 2000), affine


def _place(name: str, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Center and radii of the lesion in mm; of what would be one, for ``no_tumor``."""
    if name == "pituitary":
        return np.array([0, 25, -55]) + rng.normal(0, 2, 3), rng.uniform(10, 15, 3)
    direction = rng.normal(0, 1, 3) * [1, 1, 0.6]
    direction[0] = np.copysign(max(abs(direction[0]), 0.7), direction[0])
    direction /= np.linalg.norm(direction)
    if name == "meningioma":
        return direction * [62.0, 78, 74], rng.uniform(15, 24, 3)
    return direction * [36.0, 44, 40], rng.uniform(20, 30, 3)
