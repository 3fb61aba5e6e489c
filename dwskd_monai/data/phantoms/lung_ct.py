"""Chest CT in Hounsfield units: NIfTI of several orientations, DICOM series, and enhanced multi-frame DICOM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dwskd_monai.data.phantoms.shapes import Pixels, grid, soft_ellipsoid
from dwskd_monai.data.phantoms.writing import write_multiframe, write_nifti, write_series

CLASSES = ("covid", "non_covid")
COUNT = 64
LEAST = 40
MOST_PER_PATIENT = 2


def write(name: str, path: Path, index: int, patient: str, rng: np.random.Generator) -> Path:
    """One study: half are NIfTI, a third DICOM series, a sixth multi-frame DICOM."""
    volume, affine = lung_ct(name, rng)
    kind = index % 6
    if kind in (1, 4):
        write_series(volume, affine, path, patient, "CT")
    elif kind == 3:
        path = path.with_suffix(".dcm")
        write_multiframe(volume, affine, path, patient, "CT")
    else:
        path = path.with_suffix(".nii.gz")
        write_nifti(volume, affine, path, ("RAS", "LPS", "LAS")[kind // 2])
    return path


def lung_ct(name: str, rng: np.random.Generator) -> tuple[Pixels, NDArray[np.float64]]:
    """Pixels ``(x, y, z)`` in HU, axes to the right, front and top, and their affine.

    ``covid`` has several ground-glass opacities at the periphery of both lungs; ``non_covid`` has clear lungs or one
    dense round lesion in the middle of one.
    """
    spacing = np.array([*[rng.uniform(3.4, 3.8)] * 2, rng.uniform(6, 9)])
    shape = (96, 96, int(rng.integers(14, 21)))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    points = grid(shape, affine)
    size = rng.normal(1, 0.04, 3)
    body = soft_ellipsoid(points, np.zeros(3), np.array([155.0, 110.0, 900.0]) * size, 3)
    inner = soft_ellipsoid(points, np.zeros(3), np.array([140.0, 95.0, 900.0]) * size, 3)
    volume = -1000 + 900 * body + 140 * inner  # air, fat, soft tissue
    volume += 350 * soft_ellipsoid(points, np.array([0, -72.0, 0]), np.array([20.0, 22, 900]), 2) * body  # spine
    lungs = []
    for side in (-1, 1):
        center = np.array([side * 66.0, 4, rng.normal(0, 5)]) * size
        radii = np.array([46.0, 72, 105]) * size * rng.normal(1, 0.03, 3)
        lung = soft_ellipsoid(points, center, radii, 2)
        lungs.append((lung, center, radii))
        volume += lung * (-860 - volume)
    vessels = np.clip(gaussian_filter(rng.normal(0, 1, shape), (1.0, 1.0, 0.5)) * 900 - 250, 0, 500)
    volume += vessels * np.maximum(lungs[0][0], lungs[1][0]) ** 4
    heart = soft_ellipsoid(points, np.array([-18.0, 28, -40]), np.array([48.0, 42, 55]), 3)
    volume += heart * (45 - volume)
    if name == "covid":
        for lung, center, radii in lungs:
            for _ in range(int(rng.integers(3, 6))):
                volume += _lesion(points, lung, center, radii, 0.8, rng.uniform(16, 26), rng.uniform(250, 400), rng)
    elif rng.random() < 0.5:
        lung, center, radii = lungs[int(rng.integers(2))]
        volume += _lesion(points, lung, center, radii, 0.2, rng.uniform(12, 20), 850, rng)
    volume += rng.normal(0, 25, shape)
    return np.clip(volume, -1024, 1500), affine


def _lesion(
    points: Sequence[Pixels],
    lung: Pixels,
    center: Pixels,
    radii: Pixels,
    reach: float,
    radius: float,
    density: float,
    rng: np.random.Generator,
) -> Pixels:
    """HU to add for an opacity inside a lung, ``reach`` of the way from its center to its edge."""
    direction = rng.normal(0, 1, 3) * [1, 1, 0.6]
    place = center + reach * radii * direction / np.linalg.norm(direction)
    return density * soft_ellipsoid(points, place, radius * rng.uniform(0.8, 1.5, 3) * [1, 1, 1.4], 6) * lung
