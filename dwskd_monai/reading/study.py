"""One study from a file or a folder, whatever its format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dwskd_monai.reading import dicom, nifti, pictures
from dwskd_monai.reading.geometry import Study, Volume, checked_slice_axis, to_study


def read_study(path: str | Path, slice_axis: str = "thickest", spacing_tolerance: float = 0.05) -> Study:
    """The slices of a PNG, JPEG or BMP picture, a DICOM file, a folder with a DICOM series, or a NIfTI file.

    Args:
        path: the file, or the folder of the series.
        slice_axis: ``axial``, ``coronal``, ``sagittal``, or ``thickest``: across the axis of the largest spacing
            (axial where no spacing is more than a tenth above the others).
        spacing_tolerance: how much a distance between neighbouring DICOM slices may differ from the usual one, as a
            share of it.

    Raises:
        FileNotFoundError: if there is nothing at ``path``.
        ValueError: if it cannot be read, or what it holds is no grey picture or volume with finite pixels, one slice
            after the other; the message names the file and what is wrong.
    """
    path, slice_axis = Path(path), checked_slice_axis(slice_axis)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such image")
    if path.is_dir():
        volume = dicom.read_series(path, spacing_tolerance)
    elif path.stat().st_size == 0:
        raise ValueError(f"{path}: an empty file (0 bytes); copy it again from its source")
    elif dicom.is_dicom(path):
        volume = dicom.read_file(path, spacing_tolerance)
    elif path.suffix.lower() in dicom.SUFFIXES:
        raise ValueError(f"{path}: not a DICOM file, whatever it is called; expected an image")
    elif nifti.is_nifti(path):
        volume = nifti.read_file(path)
    else:
        volume = Volume(pictures.read_grey(path)[None], "picture", None)
    _refuse_non_finite(volume, path)
    return to_study(volume, slice_axis, path)


def _refuse_non_finite(volume: Volume, path: Path) -> None:
    """Slab by slab: a mask of a whole volume would take a quarter of its memory once more."""
    count = sum(int((~np.isfinite(slab)).sum()) for slab in volume.pixels)
    if count:
        raise ValueError(f"{path}: {count} of {volume.pixels.size} pixels are NaN or infinite; mend or remove the file")
