"""Frozen: pixels, spacing, plane and kind of the images of each format, bit for bit.

The pixels are kept as a digest of their 32-bit floats. Decoders of JPEG differ by a gray value or two, so of a JPEG the
means of its quarters are kept.

Where pixels are meant to change: ``pytest tests/golden/test_readers.py --update-golden``, and read the difference of
``expected/readers.json``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import RLELossless

from dwskd_monai.data.phantoms.writing import write_dicom, write_multiframe, write_nifti, write_series
from dwskd_monai.reading import Image as SliceImage
from dwskd_monai.reading import read_image
from tests.golden.files import SPACING, affine, change, picture, save, volume
from tests.golden.golden import Golden, assert_no_case_is_left_over

Writer = Callable[[Path], Path]


def of_mode(mode: str, suffix: str = "png", turned: bool = False) -> Writer:
    return lambda folder: save(Image.fromarray(picture()).convert(mode), folder / f"x.{suffix}", turned)


def deep_png(folder: Path) -> Path:
    return save(Image.fromarray(picture().astype(np.uint16) * 257 + 3), folder / "x.png")


def dicom(inverted: bool, **attributes: object) -> Writer:
    def write(folder: Path) -> Path:
        write_dicom(picture().astype(np.uint16) * 16, folder / "x.dcm", "P1", inverted)
        return change(folder / "x.dcm", **attributes)

    return write


def slice_of_series(folder: Path) -> Path:
    return sorted(series()(folder).iterdir())[1]


def series(oblique: bool = False, modality: str = "CT") -> Writer:
    def write(folder: Path) -> Path:
        write_series(volume(), affine(oblique=oblique), folder / "series", "P1", modality)
        return folder / "series"

    return write


def multiframe(oblique: bool = False, compressed: bool = False) -> Writer:
    def write(folder: Path) -> Path:
        path = folder / "x.dcm"
        write_multiframe(volume(), affine(oblique=oblique), path, "P1", "CT")
        if compressed:
            dataset = pydicom.dcmread(path)
            dataset.compress(RLELossless)
            dataset.save_as(path)
        return path

    return write


def nifti(codes: str, oblique: bool = False, spacing: tuple[float, float, float] = SPACING) -> Writer:
    def write(folder: Path) -> Path:
        write_nifti(volume(), affine(spacing, oblique), folder / "x.nii.gz", codes)
        return folder / "x.nii.gz"

    return write


def scaled_nifti(folder: Path) -> Path:
    image = nibabel.Nifti1Image(volume().astype(np.int16), affine())
    image.header.set_slope_inter(0.5, -100)
    nibabel.save(image, folder / "x.nii")
    return folder / "x.nii"


def flat_nifti(folder: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(volume()[:, :, 0].astype(np.int16), affine()), folder / "x.nii.gz")
    return folder / "x.nii.gz"


EXACT: dict[str, tuple[Writer, str]] = {
    **{f"PNG {mode}": (of_mode(mode), "thickest") for mode in ("L", "P", "LA", "RGB", "RGBA")},
    "PNG 16 bit": (deep_png, "thickest"),
    "PNG turned": (of_mode("L", turned=True), "thickest"),
    "BMP": (of_mode("L", "bmp"), "thickest"),
    "DICOM MONOCHROME2": (dicom(False), "thickest"),
    "DICOM MONOCHROME1": (dicom(True), "thickest"),
    "DICOM slope and intercept": (dicom(False, RescaleSlope="0.5", RescaleIntercept="-1024"), "thickest"),
    "DICOM MONOCHROME1, slope": (dicom(True, RescaleSlope="2", RescaleIntercept="-8"), "thickest"),
    "DICOM with spacing": (dicom(False, PixelSpacing=["0.5", "0.8"]), "thickest"),
    "DICOM one slice": (slice_of_series, "thickest"),
    **{f"DICOM series, {axis}": (series(), axis) for axis in ("axial", "coronal", "sagittal", "thickest")},
    "DICOM series, oblique": (series(oblique=True), "thickest"),
    "DICOM series, MR": (series(modality="MR"), "thickest"),
    **{f"DICOM multi-frame, {axis}": (multiframe(), axis) for axis in ("axial", "coronal", "sagittal", "thickest")},
    "DICOM multi-frame, oblique": (multiframe(oblique=True), "thickest"),
    "DICOM multi-frame, compressed": (multiframe(compressed=True), "thickest"),
    **{
        f"NIfTI {codes}, {axis}": (nifti(codes), axis)
        for codes in ("RAS", "LPS", "PSR", "ASL", "SLA")
        for axis in ("axial", "coronal", "sagittal")
    },
    "NIfTI LAS, oblique": (nifti("LAS", oblique=True), "thickest"),
    "NIfTI thick from left to right": (nifti("RAS", spacing=(4.0, 1.5, 1.0)), "thickest"),
    "NIfTI thick from front to back": (nifti("RAS", spacing=(1.0, 4.0, 1.5)), "thickest"),
    "NIfTI of cubes": (nifti("RAS", spacing=(1.0, 1.0, 1.0)), "thickest"),
    "NIfTI slope and intercept": (scaled_nifti, "axial"),
    "NIfTI 2-D": (flat_nifti, "thickest"),
}
JPEG: dict[str, Writer] = {
    "JPEG L": of_mode("L", "jpg"),
    "JPEG RGB": of_mode("RGB", "jpg"),
    "JPEG turned": of_mode("L", "jpg", turned=True),
}


def described(study: SliceImage) -> dict[str, Any]:
    """All but the pixels."""
    return {
        "shape": study.pixels.shape,
        "dtype": str(study.pixels.dtype),
        "spacing": [float(value) for value in study.spacing],
        "plane": study.plane,
        "kind": study.kind,
    }


def digest(pixels: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels, dtype="<f4").tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("case", EXACT)
def test_an_image_is_read_bit_for_bit_as_it_was(golden: Golden, tmp_path, case):
    write, slice_axis = EXACT[case]
    study = read_image(write(tmp_path), slice_axis)
    # the tolerance is for the spacing alone, a root of a sum of squares
    golden.check("readers", case, described(study) | {"digest": digest(study.pixels)}, rtol=1e-6)


@pytest.mark.parametrize("case", JPEG)
def test_a_jpeg_has_the_means_that_it_had(golden: Golden, tmp_path, case):
    study = read_image(JPEG[case](tmp_path))
    means = {
        f"{vertical} {horizontal}": float(half.mean())
        for vertical, rows in zip(("upper", "lower"), np.array_split(study.pixels[0], 2))
        for horizontal, half in zip(("left", "right"), np.array_split(rows, 2, axis=1))
    }
    golden.check("readers", case, described(study) | {"means": means}, rtol=1e-6, atol=1.0)


def test_each_image_that_is_kept_is_compared():
    assert_no_case_is_left_over("readers", EXACT | JPEG)
