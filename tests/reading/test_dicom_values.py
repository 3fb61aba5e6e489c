from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from dwskd_monai.data.phantoms.writing import write_series
from dwskd_monai.reading import RefusedImage, read_image
from tests.reading.dicom_files import change, picture, table, write


def pixels(path) -> np.ndarray:
    return read_image(path).pixels[0]


def test_a_modality_table_takes_the_place_of_slope_and_intercept(tmp_path):
    entries = np.arange(4096)[::-1] * 3
    path = write(tmp_path / "x.dcm", ModalityLUTSequence=table(entries))
    assert np.array_equal(pixels(path), entries[picture()])


def test_a_table_clamps_what_it_has_no_entry_for(tmp_path):
    entries = np.arange(100) + 7
    path = write(tmp_path / "x.dcm", ModalityLUTSequence=table(entries, first=200))
    assert np.array_equal(pixels(path), entries[(picture().astype(int) - 200).clip(0, 99)])


def test_a_table_may_begin_below_zero(tmp_path):
    entries = np.arange(4096)[::-1]
    for first in (-3000, 2**16 - 3000):  # 62536 is -3000 without its sign
        sequence = table(entries)
        sequence[0].add_new("LUTDescriptor", "SS" if first < 0 else "US", [4096, first, 16])
        path = write(tmp_path / "x.dcm", ModalityLUTSequence=sequence, PixelRepresentation=1, BitsStored=16, HighBit=15)
        assert np.array_equal(pixels(path), entries[(picture().astype(int) + 3000).clip(0, 4095)])


def test_a_table_of_65536_entries_says_that_it_has_0(tmp_path):
    entries = np.arange(2**16)[::-1]
    path = write(tmp_path / "x.dcm", ModalityLUTSequence=table(entries))
    assert np.array_equal(pixels(path), entries[picture()])


def test_a_table_that_is_too_short_is_named(tmp_path):
    sequence = table(np.arange(50))
    sequence[0].LUTDescriptor = [4096, 0, 16]
    path = write(tmp_path / "x.dcm", ModalityLUTSequence=sequence)
    with pytest.raises(RefusedImage, match="ModalityLUTSequence: LUTData has 100 bytes for 4096 entries") as caught:
        read_image(path)
    assert caught.value.kind == "header"


def test_a_display_table_is_applied_where_it_turns_brightness_round_alone(tmp_path):
    falling = np.linspace(60000, 0, 4096).astype(int)
    path = write(tmp_path / "falling.dcm", VOILUTSequence=table(falling))
    assert np.array_equal(pixels(path), falling[picture()])
    path = write(tmp_path / "rising.dcm", VOILUTSequence=table(falling[::-1] // 2))
    assert np.array_equal(pixels(path), picture())


@pytest.mark.parametrize(
    ("photometric", "shape", "turned"),
    [
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),  # one inversion, said twice
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME2", "IDENTITY", False),
    ],
)
def test_brightness_is_turned_round_once(tmp_path, photometric, shape, turned):
    attributes = {} if shape is None else {"PresentationLUTShape": shape}
    path = write(tmp_path / "x.dcm", PhotometricInterpretation=photometric, **attributes)
    stored = picture().astype(int)
    assert np.array_equal(pixels(path), 4095 - stored if turned else stored)


def test_an_inverted_picture_with_a_table_is_turned_round_within_its_entries(tmp_path):
    entries = np.arange(4096) * 2 + 5
    path = write(tmp_path / "x.dcm", PhotometricInterpretation="MONOCHROME1", ModalityLUTSequence=table(entries))
    assert np.array_equal(pixels(path), entries[0] + entries[-1] - entries[picture()])


def test_hounsfield_units_are_not_turned_round(tmp_path):
    scale = {"Modality": "CT", "RescaleSlope": "2", "RescaleIntercept": "-1024"}
    path = write(tmp_path / "x.dcm", PhotometricInterpretation="MONOCHROME1", **scale)
    assert np.array_equal(pixels(path), picture() * 2.0 - 1024)


@pytest.mark.parametrize(
    ("slope", "intercept", "missing"),
    [(None, None, "RescaleSlope"), ("", "", "RescaleSlope"), ("1", None, "RescaleIntercept"), ("1", "", "Intercept")],
)
def test_a_ct_without_rescale_is_refused(tmp_path, slope, intercept, missing):
    attributes = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    path = write(tmp_path / "x.dcm", Modality="CT", **{k: v for k, v in attributes.items() if v is not None})
    with pytest.raises(RefusedImage, match=f"x.dcm: no rescale: .*{missing} is missing or empty") as caught:
        read_image(path)
    assert caught.value.kind == "header"


def test_an_x_ray_needs_no_rescale(tmp_path):
    assert np.array_equal(pixels(write(tmp_path / "x.dcm")), picture())


@pytest.mark.parametrize(
    "attributes",
    [{"PresentationIntentType": "FOR PROCESSING"}, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}],
)
def test_an_x_ray_for_processing_is_refused(tmp_path, attributes):
    with pytest.raises(RefusedImage, match=r"x.dcm: an X-ray FOR PROCESSING"):
        read_image(write(tmp_path / "x.dcm", **attributes))


@pytest.mark.parametrize(("value", "signed"), [(0, 0), (-2000, 1), (63536, 1), (4095, 0)])
def test_padding_becomes_the_darkest_value_and_its_share_is_told(tmp_path, value, signed):
    stored = picture().astype(np.int32)
    stored[:, :14] = value
    words = stored.astype("<u2") if value != 63536 else stored.astype("<i8").astype("<u2")
    path = write(tmp_path / "x.dcm", PixelData=words.tobytes(), PixelRepresentation=signed)
    change(path, BitsStored=16, HighBit=15, PixelPaddingValue=value)
    image = read_image(path)
    expected = picture().astype(np.float32)
    expected[:, :14] = expected[:, 14:].min()
    assert np.array_equal(image.pixels[0], expected)
    assert image.padding == 14 / 56


def test_padding_may_be_a_range(tmp_path):
    stored = picture()
    stored[0] = 3
    stored[1] = 9
    path = write(tmp_path / "x.dcm", stored, PixelPaddingValue=2, PixelPaddingRangeLimit=9)
    image = read_image(path)
    assert image.pixels.min() == stored[2:].min()
    assert image.padding == 2 / 40


def test_padding_of_a_ct_that_is_darker_than_air_stays(tmp_path):
    stored = picture()
    stored[:4] = 0
    scale = {"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "-3024"}
    image = read_image(write(tmp_path / "x.dcm", stored, PixelPaddingValue=0, **scale))
    assert np.array_equal(image.pixels[0], stored - 3024.0)
    assert image.padding == 4 / 40


def test_padding_of_a_series_takes_the_darkest_value_of_all_slices(tmp_path):
    volume = np.random.default_rng(0).integers(0, 2000, (8, 9, 3)).astype(float) + 10
    write_series(volume, np.diag([1.0, 1, 3, 1]), tmp_path / "s", "P1", "MR")
    for path in (tmp_path / "s").iterdir():
        change(path, PixelPaddingValue=4095)
        dataset = pydicom.dcmread(path)
        stored = dataset.pixel_array.copy()
        stored[:, :2] = 4095
        change(path, PixelData=stored.tobytes())
    image = read_image(tmp_path / "s", "axial")
    inside = image.pixels[:, :, 2:]
    assert (image.pixels[:, :, :2] == inside.min()).all()
    assert image.padding == pytest.approx(2 / 8)


def test_an_image_of_padding_alone_is_refused(tmp_path):
    path = write(tmp_path / "x.dcm", np.full((8, 8), 7, np.uint16), PixelPaddingValue=7)
    with pytest.raises(RefusedImage, match="all of its pixels have the value of padding") as caught:
        read_image(path)
    assert caught.value.kind == "content"


@pytest.mark.parametrize(
    ("greatest", "attributes", "dtype"),
    [
        (4000, {}, np.int16),
        (4000, {"RescaleSlope": "1", "RescaleIntercept": "-1024"}, np.int16),
        (33791, {"RescaleSlope": "1", "RescaleIntercept": "-1024"}, np.int16),  # 32767
        (33792, {"RescaleSlope": "1", "RescaleIntercept": "-1024"}, np.float32),
        (65535, {}, np.float32),
        (4000, {"RescaleSlope": "1", "RescaleIntercept": "-40000"}, np.float32),
        (4000, {"RescaleSlope": "1", "RescaleIntercept": "0.5"}, np.float32),
        (4000, {"RescaleSlope": "2", "RescaleIntercept": "0"}, np.float32),
    ],
)
def test_whole_values_that_fit_take_16_bits_and_no_value_changes(tmp_path, greatest, attributes, dtype):
    stored = picture()
    stored[0, 0] = greatest
    path = write(tmp_path / "x.dcm", stored, BitsStored=16, HighBit=15, **attributes)
    got = pixels(path)
    slope, intercept = (
        float(attributes.get(f"Rescale{name}", default)) for name, default in [("Slope", 1), ("Intercept", 0)]
    )
    assert got.dtype == dtype
    assert np.array_equal(got, stored * slope + intercept)


@pytest.mark.parametrize("allocated", [16, 32])
def test_floating_point_is_never_made_whole(tmp_path, allocated):
    stored = picture().astype("<f4") / 7
    path = write(tmp_path / "x.dcm", PixelData=None, BitsStored=None, HighBit=None, BitsAllocated=allocated)
    change(path, FloatPixelData=stored.tobytes())
    assert np.array_equal(pixels(path), stored)


def test_a_pixel_that_is_not_finite_is_said_beside_padding_too(tmp_path):
    stored = picture().astype("<f4")
    stored[0, 0] = np.nan
    path = write(tmp_path / "x.dcm", PixelData=None, BitsStored=None, HighBit=None, BitsAllocated=32)
    change(path, FloatPixelData=stored.tobytes(), FloatPixelPaddingValue=4000.0)
    with pytest.raises(RefusedImage, match="1 of 2240 pixels are NaN or infinite"):
        read_image(path)


@pytest.mark.parametrize("odd", [0, 2])
def test_a_series_has_one_type_of_pixels(tmp_path, odd):
    volume = np.random.default_rng(0).integers(0, 2000, (8, 9, 3)).astype(float)
    write_series(volume, np.diag([1.0, 1, 3, 1]), tmp_path / "s", "P1", "MR")
    expected = read_image(tmp_path / "s", "axial").pixels.astype(np.float32)
    path = sorted((tmp_path / "s").iterdir())[odd]
    height = int(np.argmin([abs(expected[index] - pydicom.dcmread(path).pixel_array).sum() for index in range(3)]))
    change(path, RescaleSlope="0.5", RescaleIntercept="0")
    expected[height] *= 0.5
    got = read_image(tmp_path / "s", "axial").pixels
    assert got.dtype == np.float32
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_bits_that_hold_something_else_mean_nothing(tmp_path, signed, compressed):
    stored = picture().astype(np.int32) - (2000 if signed else 0)
    words = (stored & 0x0FFF) | 0xA000  # an overlay in the upper bits
    path = write(tmp_path / "x.dcm", PixelRepresentation=int(signed), PixelData=words.astype("<u2").tobytes())
    if compressed:
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    expected = np.where(stored > 2047, stored - 4096, stored) if signed else stored
    assert np.array_equal(pixels(path), expected)


def test_numbers_in_the_upper_bits_are_taken_from_there(tmp_path):
    words = (picture().astype(np.uint16) << 4) | 0x0005
    path = write(tmp_path / "x.dcm", PixelData=words.tobytes(), HighBit=15)
    assert np.array_equal(pixels(path), picture())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pixels_of_floating_point_are_read(tmp_path, dtype):
    values = picture().astype(dtype) / 7
    name = "FloatPixelData" if dtype is np.float32 else "DoubleFloatPixelData"
    path = write(tmp_path / "x.dcm", PixelData=None, BitsStored=None, HighBit=None, PixelRepresentation=None)
    change(path, **{name: values.tobytes(), "BitsAllocated": 8 * values.itemsize})
    assert np.array_equal(pixels(path), values.astype(np.float32))


def palette(path, tables: tuple[np.ndarray, np.ndarray, np.ndarray]):
    dataset = pydicom.dcmread(path)
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    for color, entries in zip(("Red", "Green", "Blue"), tables):
        dataset.add_new(f"{color}PaletteColorLookupTableDescriptor", "US", [len(entries), 0, 16])
        dataset.add_new(f"{color}PaletteColorLookupTableData", "OW", entries.astype("<u2").tobytes())
    dataset.save_as(path)
    return path


def test_a_palette_of_grays_is_applied(tmp_path):
    grays = np.arange(4096)[::-1] * 16
    assert np.array_equal(pixels(palette(write(tmp_path / "x.dcm"), (grays,) * 3)), grays[picture()])


def test_a_palette_of_colors_is_refused(tmp_path):
    grays = np.arange(4096) * 16
    with pytest.raises(RefusedImage, match=r"expected gray pixels, got PALETTE COLOR with a palette of color"):
        read_image(palette(write(tmp_path / "x.dcm"), (grays, grays[::-1], grays)))


@pytest.mark.parametrize("compressed", [False, True])
def test_palette_color_without_a_palette_is_named(tmp_path, compressed):
    """GDCM ends the process over it."""
    path = write(tmp_path / "x.dcm")
    if compressed:
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    change(path, PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(RefusedImage, match="PALETTE COLOR without RedPaletteColorLookupTableDescriptor"):
        read_image(path)


@pytest.mark.parametrize("modality", ["SEG", "RTDOSE"])
def test_masks_and_doses_are_no_images(tmp_path, modality):
    with pytest.raises(RefusedImage, match=f"expected an image, got .*Modality {modality}"):
        read_image(write(tmp_path / "x.dcm", Modality=modality))
