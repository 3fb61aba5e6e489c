"""How a file was made, by its header."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pydicom
import pytest
from PIL import Image

from dwskd_monai.data.phantoms.writing import write_dicom, write_nifti, write_series
from dwskd_monai.reading import RefusedImage
from dwskd_monai.reading.formats import FORMATS
from dwskd_monai.reading.image import Origin
from dwskd_monai.reading.origin import origin_of, size_of

GRAY = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)


@pytest.mark.parametrize(
    ("name", "picture", "expected"),
    [
        ("x.png", Image.fromarray(GRAY.astype(np.uint8)), Origin("PNG", "8", "L")),
        ("x.png", Image.fromarray(GRAY), Origin("PNG", "16", "I;16")),
        ("x.jpg", Image.fromarray(GRAY.astype(np.uint8)).convert("RGB"), Origin("JPEG", "8", "RGB")),
        ("x.png", Image.fromarray(GRAY.astype(np.uint8)).convert("1"), Origin("PNG", "1", "1")),
        ("x.tif", Image.fromarray(GRAY.astype(np.float32)), Origin("TIFF", "32", "F")),
        ("x.png", Image.fromarray(GRAY.astype(np.uint8)).convert("P"), Origin("PNG", "8", "P")),
    ],
)
def test_a_picture(tmp_path, name, picture, expected):
    picture.save(tmp_path / name)
    assert origin_of(tmp_path / name) == expected


def test_a_dicom_file_tells_its_scanner_and_no_patient(tmp_path):
    path = tmp_path / "x.dcm"
    write_dicom(GRAY, path, "P1", inverted=True)
    dataset = pydicom.dcmread(path)
    dataset.Manufacturer, dataset.ManufacturerModelName = "Acme", "Ray 3"
    dataset.InstitutionName, dataset.ViewPosition = "North", "PA"
    dataset.save_as(path)
    assert origin_of(path) == Origin("DICOM", "12", "MONOCHROME1", "PA", "Acme", "Ray 3", "North")


def test_a_series_and_a_nifti_file(tmp_path):
    volume = np.random.default_rng(0).normal(0, 100, (16, 16, 4))
    write_series(volume, np.eye(4), tmp_path / "series", "P1", "CT")
    write_nifti(volume, np.eye(4), tmp_path / "x.nii.gz")
    series = origin_of(tmp_path / "series")
    assert (series.format, series.colors) == ("DICOM", "MONOCHROME2")
    assert origin_of(tmp_path / "x.nii.gz") == Origin("NIfTI", "16")
    (tmp_path / "x.nii.gz").rename(tmp_path / "compressed.nii")
    assert origin_of(tmp_path / "compressed.nii") == Origin("NIfTI", "16")


def test_a_folder_without_a_series_is_refused(tmp_path):
    with pytest.raises(RefusedImage, match="without a DICOM file"):
        origin_of(tmp_path)


def test_the_size_of_an_image_is_that_of_its_header(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "x.png")
    write_dicom(GRAY, tmp_path / "x.dcm", "P1", inverted=False)
    volume = np.zeros((16, 12, 4))
    write_series(volume, np.eye(4), tmp_path / "series", "P1", "CT")
    write_nifti(volume, np.eye(4), tmp_path / "x.nii.gz")
    assert size_of(tmp_path / "x.png") == size_of(tmp_path / "x.dcm") == (1, 64, 48)
    assert size_of(tmp_path / "series") == size_of(tmp_path / "x.nii.gz") == (4, 12, 16)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RefusedImage, match="without a DICOM file"):
        size_of(tmp_path / "empty")


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.module)
def test_each_format_has_a_reader_that_tells_origin_and_size_too(row):
    reader = import_module(f"dwskd_monai.reading.{row.module}")
    assert all(callable(getattr(reader, name)) for name in ("read_file", "origin_of", "size_of"))
