"""Pixels and image files that are the same wherever they are written: made without random numbers and rounding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

# mm per pixel of the volumes, all different, so that an exchange of axes shows
SPACING = (1.0, 1.5, 4.0)
# The only exact rotation that is not along an axis has the sides 3, 4 and 5.
OBLIQUE = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]])


def picture(height: int = 20, width: int = 28) -> NDArray[np.uint8]:
    """Not symmetric, with smooth parts and edges, from 0 to 255."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = 7 * rows + 5 * columns + rows * columns // 4
    pixels[height // 5 : height // 2, width // 4 : width // 3] += 90
    return (pixels * 255 // pixels.max()).astype(np.uint8)


def volume(shape: tuple[int, int, int] = (12, 10, 6)) -> NDArray[np.float64]:
    """Whole Hounsfield units ``(x, y, z)`` from -1000 to 1000."""
    x, y, z = np.indices(shape)
    pixels = 37 * x + 61 * y + 143 * z + x * y * z
    pixels[shape[0] // 3 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] += 400
    return (pixels * 2000 // pixels.max() - 1000).astype(np.float64)


def affine(spacing: tuple[float, float, float] = SPACING, oblique: bool = False) -> NDArray[np.float64]:
    """From indices to mm, axes to the right, front and top, turned around the first where it is oblique."""
    result = np.eye(4)
    result[:3, :3] = (OBLIQUE if oblique else np.eye(3)) * spacing
    result[:3, 3] = (-20, 30, 100)
    return result


def save(image: Image.Image, path: Path, turned: bool = False) -> Path:
    """A picture; ``turned`` marks it, as cameras do, as one to be turned by a quarter."""
    exif = Image.Exif()
    if turned:
        exif[0x0112] = 6
    image.save(path, exif=exif)
    return path


def change(path: Path, **attributes: object) -> Path:
    """Set attributes of a DICOM file."""
    dataset = pydicom.dcmread(path)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path
