"""The shape of a pixel, by whichever attribute tells it; it decides the shape of a picture that keeps its aspect."""

from __future__ import annotations

import numpy as np
import pytest

from dwskd_monai.data.phantoms.writing import write_series
from dwskd_monai.preprocessing import FitSlicesd, LoadSlicesd
from dwskd_monai.reading import RefusedImage, read_image
from tests.reading.dicom_files import picture, write


@pytest.mark.parametrize(
    ("attributes", "spacing"),
    [
        ({}, (1.0, 1.0)),
        ({"PixelSpacing": "0.2\\0.1"}, (0.2, 0.1)),
        ({"ImagerPixelSpacing": "0.2\\0.1"}, (0.2, 0.1)),
        ({"NominalScannedPixelSpacing": "0.2\\0.1"}, (0.2, 0.1)),
        ({"PixelAspectRatio": "3\\2"}, (1.5, 1.0)),  # height, then width
        ({"PixelSpacing": "0.4\\0.4", "ImagerPixelSpacing": "0.5\\0.5"}, (0.4, 0.4)),
        ({"ImagerPixelSpacing": "0.3\\0.2", "PixelAspectRatio": "1\\1"}, (0.3, 0.2)),
        ({"PixelSpacing": "0\\0", "ImagerPixelSpacing": "0.3\\0.2"}, (0.3, 0.2)),
        ({"PixelSpacing": "0\\0", "ImagerPixelSpacing": "0\\0", "PixelAspectRatio": "0\\0"}, (1.0, 1.0)),
    ],
)
def test_the_first_attribute_that_tells_gives_the_shape_of_a_pixel(tmp_path, attributes, spacing):
    image = read_image(write(tmp_path / "x.dcm", **attributes))
    assert image.spacing[1:] == pytest.approx(spacing)
    assert np.array_equal(image.pixels[0], picture())


@pytest.mark.parametrize("name", ["ImagerPixelSpacing", "PixelAspectRatio"])
@pytest.mark.parametrize(("high", "wide"), [(3, 2), (1, 2), (1, 1)])
def test_a_picture_that_keeps_its_aspect_has_the_shape_of_what_it_shows(tmp_path, name, high, wide):
    rows, columns = picture().shape
    item = LoadSlicesd("image")({"image": write(tmp_path / "x.dcm", **{name: f"{high}\\{wide}"})})
    _, _, height, width = FitSlicesd("image", 60, keep_aspect=True)(item)["image"].shape
    longer = max(rows * high, columns * wide)
    assert (height, width) == (round(60 * rows * high / longer), round(60 * columns * wide / longer))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ImagerPixelSpacing", "0.1", "is 0.1; expected 2 numbers, got 1"),
        ("ImagerPixelSpacing", "0.1\\0", r"is 0.1\\0; expected two numbers greater than 0, in mm \(0.005 to 100\)"),
        ("PixelSpacing", "1000\\1000", r"is 1000\\1000; expected two numbers greater than 0, in mm"),
        ("PixelSpacing", "0.0001\\0.0001", r"is 0.0001\\0.0001; expected two numbers greater than 0, in mm"),
        ("NominalScannedPixelSpacing", "0,1\\0,1", ".* a decimal comma must be a point"),
        ("PixelAspectRatio", "1\\0", r"is 1\\0; expected two numbers greater than 0$"),
        ("PixelAspectRatio", "-1\\1", r"is -1\\1; expected two numbers greater than 0$"),
        ("PixelAspectRatio", "4:3", "is '4:3'; expected numbers in decimal notation"),
    ],
)
def test_a_shape_that_no_pixel_has_is_named(tmp_path, name, value, message):
    with pytest.raises(RefusedImage, match=f"x.dcm: {name} {message}"):
        read_image(write(tmp_path / "x.dcm", **{name: value}))


@pytest.mark.parametrize(("between", "is_read"), [(0.05, False), (0.1, True), (50.0, True), (150.0, False)])
def test_a_distance_that_no_slices_have_is_refused(tmp_path, between, is_read):
    pixels = np.random.default_rng(1).integers(-1000, 1500, (12, 10, 6)).astype(float)
    write_series(pixels, np.diag([0.7, 0.7, between, 1.0]), tmp_path / "series", "P1", "CT")
    if is_read:
        assert read_image(tmp_path / "series", "axial").spacing[0] == pytest.approx(between)
    else:
        with pytest.raises(RefusedImage, match=f"its slices are {between:g} mm apart .ImagePositionPatient, PixelSpac"):
            read_image(tmp_path / "series", "axial")
