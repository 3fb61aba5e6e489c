"""One image from a file or a folder, whatever its format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dwskd_monai.reading.formats import FORMATS, format_of
from dwskd_monai.reading.image import Image, checked_slice_axis

_DICOM = FORMATS[0]


def read_image(path: str | Path, slice_axis: str = "thickest", spacing_tolerance: float = 0.05) -> Image:
    """The slices of a PNG, JPEG or BMP picture, a DICOM file, a folder with a DICOM series, or a NIfTI file.

    Args:
        path: the file, or the folder of the series.
        slice_axis: ``axial``, ``coronal``, ``sagittal``, or ``thickest``: across the axis of the largest spacing
            (axial if no spacing is more than a tenth above the others).
        spacing_tolerance: how much a distance between neighboring DICOM slices may differ from the usual one, as a
            share of it.

    Raises:
        FileNotFoundError: if there is nothing at ``path``.
        ValueError: if it cannot be read, or does not hold a gray picture or volume with finite pixels, one slice after
            the other; the message names the file and what is wrong.
        ModuleNotFoundError: if the library that decodes the format is not installed.
    """
    path = Path(path)
    slice_axis = checked_slice_axis(slice_axis)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such image")
    if path.is_dir():
        image: Image = _DICOM.module(path).read_series(path, slice_axis, spacing_tolerance)
    else:
        image = format_of(path).module(path).read_file(path, slice_axis, spacing_tolerance)
    _refuse_non_finite(image, path)
    return image


def _refuse_non_finite(image: Image, path: Path) -> None:
    """Slice by slice: a mask of a whole volume would take a quarter of its memory once more."""
    count = sum(int((~np.isfinite(pixels)).sum()) for pixels in image.pixels)
    if count:
        raise ValueError(f"{path}: {count} of {image.pixels.size} pixels are NaN or infinite; fix or remove the file")
