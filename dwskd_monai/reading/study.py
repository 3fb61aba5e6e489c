"""One study from a file or a folder, whatever its format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dwskd_monai.reading.kinds import DICOM, is_dicom, is_nifti
from dwskd_monai.reading.pictures import read_grey
from dwskd_monai.reading.volume import Study, Volume, checked_slice_axis

# A network that was packed runs with monai and timm alone, which bring no library for volumes. They are looked for here
# and not when there is a volume: MONAI Label forgets where a bundle's code lies once it has its transforms.
_missing: dict[str, ModuleNotFoundError] = {}
try:
    from dwskd_monai.reading import dicom
except ModuleNotFoundError as error:
    _missing["pydicom and itk"] = error
try:
    from dwskd_monai.reading import geometry, nifti
except ModuleNotFoundError as error:
    _missing["nibabel"] = error


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
        ModuleNotFoundError: if the library that decodes the format is not installed.
    """
    path, slice_axis = Path(path), checked_slice_axis(slice_axis)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such image")
    volume = _read(path, spacing_tolerance)
    _refuse_non_finite(volume, path)
    if volume.affine is None:
        return Study(volume.pixels, volume.spacing, None, volume.kind)
    _require("nibabel", path)
    return geometry.to_study(volume, slice_axis, path)


def _read(path: Path, spacing_tolerance: float) -> Volume:
    """Pixels and geometry of a file or folder."""
    if path.is_dir() or (path.stat().st_size > 0 and is_dicom(path)):
        _require("pydicom and itk", path)
        read = dicom.read_series if path.is_dir() else dicom.read_file
        return read(path, spacing_tolerance)
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: an empty file (0 bytes); copy it again from its source")
    if path.suffix.lower() in DICOM:
        raise ValueError(f"{path}: not a DICOM file, whatever it is called; expected an image")
    if is_nifti(path):
        _require("nibabel", path)
        return nifti.read_file(path)
    return Volume(read_grey(path)[None], "picture", None)


def _require(libraries: str, path: Path) -> None:
    """Raise where they could not be imported."""
    if libraries in _missing:
        error = _missing[libraries]
        raise ModuleNotFoundError(
            f"{path}: to read it, {libraries} must be installed (no {error.name} here): pip install "
            f"{libraries.replace(' and', '')}",
            name=error.name,
        ) from error


def _refuse_non_finite(volume: Volume, path: Path) -> None:
    """Slab by slab: a mask of a whole volume would take a quarter of its memory once more."""
    count = sum(int((~np.isfinite(slab)).sum()) for slab in volume.pixels)
    if count:
        raise ValueError(f"{path}: {count} of {volume.pixels.size} pixels are NaN or infinite; mend or remove the file")
