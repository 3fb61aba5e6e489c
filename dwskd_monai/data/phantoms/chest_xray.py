"""Frontal chest X-rays, as 8-bit and 16-bit PNG and as DICOM of both polarities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from dwskd_monai.data.phantoms.shapes import Pixels, soft_ellipse
from dwskd_monai.data.phantoms.writing import write_dicom

CLASSES = ("covid19", "no_findings", "pneumonia")
COUNT = 240
LEAST = 60
MOST_PER_PATIENT = 3


def write(name: str, path: Path, index: int, patient: str, rng: np.random.Generator) -> Path:
    """One image with a random exposure: half are 8-bit PNG, a quarter 16-bit PNG (12 used), a quarter 12-bit DICOM.

    Every other DICOM file is MONOCHROME1.
    """
    pixels = chest_xray(name, rng)
    spread = rng.uniform(0.14, 0.2)
    level = rng.uniform(0.45, 0.55)
    unit = np.clip(level + spread * pixels, 0, 1)
    kind = index % 4
    if kind < 2:
        path = path.with_suffix(".png")
        Image.fromarray(np.round(unit * 255).astype(np.uint8)).save(path)
    elif kind == 2:
        path = path.with_suffix(".png")
        Image.fromarray(np.round(unit * 4095).astype(np.uint16)).save(path)
    else:
        path = path.with_suffix(".dcm")
        write_dicom(np.round(unit * 4095).astype(np.uint16), path, patient, inverted=index % 8 == 7)
    return path


def chest_xray(name: str, rng: np.random.Generator) -> Pixels:
    """One frontal chest X-ray ``(H, W)`` with values around 0, brighter is denser.

    The lungs of ``no_findings`` are clear; ``pneumonia`` has one large consolidation in one lung; ``covid19`` has
    several small faint opacities at the periphery of both. Mean and contrast are equal in all images, so brightness
    says nothing about the class.
    """
    height = int(rng.integers(150, 190))
    width = int(rng.integers(140, 170))
    y, x = np.mgrid[0:height, 0:width]
    v = 2 * y / height - 1 + rng.normal(0, 0.03)
    u = 2 * x / width - 1 + rng.normal(0, 0.03)
    image = 1.2 * soft_ellipse(u, v, 0, 0.1, 0.85 * rng.normal(1, 0.04), 1.05, 8)  # the body
    lungs = []
    for side in (-1, 1):
        center = side * rng.normal(0.42, 0.02)
        tilt = side * rng.normal(0.12, 0.03)
        half_width = rng.normal(0.29, 0.02)
        half_height = rng.normal(0.68, 0.03)
        lung = soft_ellipse(u - tilt * v, v, center, rng.normal(-0.02, 0.03), half_width, half_height, 6)
        lungs.append((lung, center, tilt, half_width, half_height))
        image -= 0.75 * lung
    image += 0.5 * np.exp(-((u / 0.09) ** 2))  # spine
    image += 0.55 * soft_ellipse(u, v, rng.normal(0.14, 0.03), rng.normal(0.35, 0.04), 0.26, 0.3, 4)  # heart
    image += 0.12 * np.maximum(0, np.sin(rng.normal(17, 1) * (v - 0.35 * u**2) + rng.uniform(0, 6))) ** 2  # ribs
    if name == "pneumonia":
        image += _opacity(u, v, lungs[int(rng.integers(2))], rng, count=1, size=(0.2, 0.3), strength=0.55, reach=0.45)
    elif name == "covid19":
        for both in lungs:
            image += _opacity(
                u, v, both, rng, count=int(rng.integers(3, 6)), size=(0.07, 0.12), strength=0.4, reach=0.8
            )
    image = gaussian_filter(image, 0.8) + rng.normal(0, 0.03, image.shape)
    image += 0.1 * gaussian_filter(rng.normal(0, 1, image.shape), 12) * 12  # uneven exposure
    return (image - image.mean()) / image.std()


def _opacity(
    u: Pixels,
    v: Pixels,
    lung: tuple[Pixels, float, float, float, float],
    rng: np.random.Generator,
    count: int,
    size: tuple[float, float],
    strength: float,
    reach: float,
) -> Pixels:
    """Textured opacities inside a lung, ``reach`` of the way from its center to its outer edge."""
    shape, center, tilt, half_width, half_height = lung
    texture = 1 + 0.35 * gaussian_filter(rng.normal(0, 1, u.shape), 2) * 6
    total = np.zeros_like(u)
    for _ in range(count):
        angle = rng.uniform(-1.3, 1.3)
        cv = reach * half_height * np.sin(angle)
        cu = center + np.sign(center) * reach * half_width * np.cos(angle) * rng.uniform(0.6, 1) + tilt * cv
        radius = rng.uniform(*size)
        total += soft_ellipse(u, v, cu, cv, radius, radius * rng.uniform(0.8, 1.6), 3)
    return strength * np.minimum(total, 1.2) * shape * texture
