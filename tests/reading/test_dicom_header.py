"""Values that are not what the standard says: each is named with its file and attribute, or read as it is meant."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    MediaStorageDirectoryStorage,
)

from dwskd_monai.data.phantoms.writing import write_series
from dwskd_monai.reading import RefusedImage, read_image
from dwskd_monai.reading.codestream import described
from dwskd_monai.reading.find import find_images
from tests.reading.dicom_files import change, picture, write

VOLUME = np.random.default_rng(1).integers(-1000, 1500, (12, 10, 6)).astype(float)


@pytest.fixture
def series(tmp_path) -> Path:
    write_series(VOLUME, np.diag([0.7, 0.7, 2.5, 1.0]), tmp_path / "series", "P1", "CT")
    return tmp_path / "series"


def positions(series: Path, heights: list[str]) -> None:
    for path in series.iterdir():
        change(path, ImagePositionPatient=f"0\\0\\{heights[int(path.stem[-3:])]}")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ImagePositionPatient", "1,5\\0,0\\5,0", r"is '1,5\\\\0,0\\\\5,0'; .* a decimal comma must be a point"),
        ("ImagePositionPatient", "1\\2", r"is 1\\2; expected 3 numbers, got 2"),
        ("ImageOrientationPatient", "1\\0\\0", r"is 1\\0\\0; expected 6 numbers, got 3"),
        ("ImageOrientationPatient", "0\\0\\0\\0\\0\\0", "expected two directions of length 1 at a right angle"),
        ("ImageOrientationPatient", "1\\0\\0\\1\\0\\0", "expected two directions of length 1 at a right angle"),
        ("PixelSpacing", "0.7", "is 0.7; expected 2 numbers, got 1"),
        ("PixelSpacing", "0.7,0.7", "is '0.7,0.7'; expected numbers in decimal notation"),
        ("PixelSpacing", "0\\0", r"is 0\\0; expected two numbers greater than 0"),
        ("PixelSpacing", "-0.7\\0.7", r"is -0.7\\0.7; expected two numbers greater than 0"),
        ("PixelSpacing", "1e-300\\1", "expected two numbers greater than 0, in mm"),
        ("PixelSpacing", "5mm\\5mm", r"is '5mm\\\\5mm'; expected numbers in decimal notation"),
        ("PixelSpacing", "inf\\1", "expected finite numbers"),
        ("RescaleSlope", "1\\1", r"is 1\\1; expected one number, got 2"),
        ("RescaleSlope", "1\\", r"is '1\\\\'; expected numbers in decimal notation"),
        ("RescaleSlope", "1.0E", "is '1.0E'; expected numbers in decimal notation"),
        ("RescaleIntercept", "1_0", "is '1_0'; expected numbers in decimal notation"),
        ("NumberOfFrames", "1A", "is '1A'; expected numbers in decimal notation"),
        ("NumberOfFrames", "-3", "is -3; expected 1 or more"),
        ("NumberOfFrames", "1.5", "is 1.5; expected a whole number"),
    ],
)
def test_a_value_that_is_none_is_named(series, name, value, message):
    path = min(series.iterdir())
    change(path, **{name: value})
    for place in (path, series):
        with pytest.raises(RefusedImage, match=f"{path.name}: {name} {message}|: {name}.* {message}") as caught:
            read_image(place, "axial")
        assert caught.value.path == path
        assert caught.value.kind in ("header", "geometry")
        assert caught.value.instance is not None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("Rows", 0, "Rows × Columns are 0 × 56"),
        ("BitsAllocated", 12, "BitsAllocated is 12; expected 8, 16 or 32"),
        ("BitsStored", 17, "BitsAllocated is 16, BitsStored 17, HighBit 11"),
        ("BitsStored", None, "BitsStored is missing"),
        ("HighBit", 3, "BitsAllocated is 16, BitsStored 12, HighBit 3"),
        ("PixelRepresentation", 7, "PixelRepresentation is 7; expected 0 or 1"),
        ("PixelRepresentation", None, "PixelRepresentation is missing"),
        ("PhotometricInterpretation", "HSV", "PhotometricInterpretation is 'HSV'"),
        ("PhotometricInterpretation", None, "PhotometricInterpretation is ''"),
        ("PixelData", None, "no pixels after its header"),
        ("PixelData", b"", "PixelData is empty"),
    ],
)
def test_an_attribute_of_the_pixels_that_is_wrong_is_named(tmp_path, name, value, message):
    with pytest.raises(RefusedImage, match=f"x.dcm: {message}"):
        read_image(write(tmp_path / "x.dcm", **{name: value}))


@pytest.mark.parametrize(("rows", "columns"), [(41, 56), (40, 57), (39, 56), (40, 55), (20, 56), (65535, 65535)])
def test_rows_and_columns_that_do_not_fit_the_pixels_are_named(tmp_path, rows, columns):
    message = r"Rows and Columns do not fit PixelData|pixels cannot be decoded \(expected|expected at most 2,147"
    with pytest.raises(RefusedImage, match=message):
        read_image(write(tmp_path / "x.dcm", Rows=rows, Columns=columns))


def test_rows_and_columns_that_do_not_fit_a_compressed_picture_are_named(tmp_path):
    path = encapsulated(tmp_path / "x.dcm", jpeg_2000(picture()), JPEG2000Lossless)
    assert np.array_equal(read_image(path).pixels[0], picture())
    change(path, Rows=56, Columns=40)
    with pytest.raises(RefusedImage, match="are 56 × 40, those of the compressed picture 40 × 56"):
        read_image(path)


def jpeg_2000(pixels: np.ndarray, **options: object) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG2000", no_jp2=True, **options)
    return file.getvalue()


def encapsulated(path: Path, frame: bytes, syntax: str, **attributes: object) -> Path:
    dataset = pydicom.dcmread(write(path))
    dataset.PixelData = pydicom.encaps.encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)
    return change(path, **attributes)


def jpeg(mode: str = "L", **options: object) -> bytes:
    file = BytesIO()
    gray = Image.fromarray((picture() // 16).astype(np.uint8))
    gray.convert(mode).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def test_a_compressed_picture_says_what_it_is():
    assert described(jpeg_2000(picture())) == (40, 56, 1, 16)
    assert described(jpeg()) == (40, 56, 1, 8)
    assert described(jpeg("RGB", progressive=True, comment=b"x")) == (40, 56, 3, 8)
    file = BytesIO()
    Image.fromarray(picture()).save(file, "JPEG2000")
    assert described(file.getvalue()) == (40, 56, 1, 16)
    assert described(b"\0" * 64) is None
    assert described(b"\xff\xd8\xff") is None


EIGHT_BITS = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}


@pytest.mark.parametrize(
    ("frame", "attributes", "message"),
    [
        (jpeg("RGB"), EIGHT_BITS, "expected gray pixels, the compressed picture has 3 samples per pixel"),
        (jpeg()[:-200], EIGHT_BITS, "pixels cannot be decoded .the compressed picture is cut off"),
        (jpeg_2000(picture()), EIGHT_BITS, "BitsAllocated is 8, the compressed picture has 16 bits"),
    ],
)
def test_a_compressed_picture_that_contradicts_its_header_is_refused(tmp_path, frame, attributes, message):
    syntax = JPEG2000Lossless if frame[:2] == b"\xff\x4f" else JPEGBaseline8Bit
    with pytest.raises(RefusedImage, match=f"x.dcm: .*{message}"):
        read_image(encapsulated(tmp_path / "x.dcm", frame, syntax, **attributes))


def test_a_jpeg_is_read(tmp_path):
    path = encapsulated(tmp_path / "x.dcm", jpeg(), JPEGBaseline8Bit, **EIGHT_BITS)
    expected = np.asarray(Image.open(BytesIO(jpeg())), float)
    assert np.abs(read_image(path).pixels[0] - expected).max() <= 2


def test_lossy_compression_that_overshoots_does_not_wrap(tmp_path):
    """4097 in 12 bits is white, and not 1."""
    edges = np.random.default_rng(0).integers(0, 2, (40, 56)).astype(np.uint16) * 4095
    edges[:8] = 2000
    frame = jpeg_2000(edges, irreversible=True, quality_mode="rates", quality_layers=[8])
    decoded = np.asarray(Image.open(BytesIO(frame)), float)
    assert decoded.max() > 4095
    pixels = read_image(encapsulated(tmp_path / "x.dcm", frame, JPEG2000)).pixels[0]
    assert np.abs(pixels - decoded.clip(0, 4095)).max() <= 1


@pytest.mark.parametrize("vr", ["UT", "LO", "UN"])
def test_another_value_representation_is_read(series, vr):
    expected = read_image(series, "axial")
    for path in series.iterdir():
        content = path.read_bytes()
        known, text = b"\x28\0\x30\0DS\x08\0", b"0.7\\0.7 "
        assert known + text in content
        length = b"\x08\0" if vr == "LO" else b"\0\0\x08\0\0\0"  # the first have a short form
        path.write_bytes(content.replace(known, b"\x28\0\x30\0" + vr.encode() + length))
    image = read_image(series, "axial")
    assert np.array_equal(image.pixels, expected.pixels)
    assert image.spacing == expected.spacing


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_files_that_are_not_compressed_are_read_however_they_are_written(tmp_path, syntax):
    path = write(tmp_path / "x.dcm", RescaleSlope="2", RescaleIntercept="-1", PixelPaddingValue=4000)
    expected = read_image(path).pixels
    dataset = pydicom.dcmread(path)
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = dataset.pixel_array.astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(path, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    assert np.array_equal(read_image(path).pixels, expected)


def test_a_text_that_is_said_to_be_a_whole_number_is_named(series):
    path = min(series.iterdir())
    known = b"\x28\0\x53\x10DS\x02\x001 "
    assert known in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(known, known.replace(b"DS", b"US")))
    with pytest.raises(RefusedImage, match="RescaleSlope has value representation US; expected DS"):
        read_image(path)


@pytest.mark.parametrize("vr", ["OB", "OW"])
def test_bytes_in_words_of_big_endian_stand_in_pairs(tmp_path, vr):
    gray = (picture() // 16).astype(np.uint8)[:39, :55]  # an odd number of them
    content = gray.tobytes() + b"\0"
    if vr == "OW":
        content = np.frombuffer(content, "<u2").byteswap().tobytes()
    path = write(tmp_path / "x.dcm", Rows=39, Columns=55, **EIGHT_BITS, PixelData=content)
    dataset = pydicom.dcmread(path)
    dataset["PixelData"].VR = vr
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=False)
    content = path.read_bytes()  # the writer knows better
    path.write_bytes(content.replace(b"\x7f\xe0\0\x10OB", b"\x7f\xe0\0\x10" + vr.encode()))
    assert np.array_equal(read_image(path).pixels[0], gray)


@pytest.mark.parametrize("name", ["x.dcm", "IM0001"])
def test_a_file_without_a_preamble_is_read(tmp_path, name):
    path = write(tmp_path / "x.dcm")
    dataset = pydicom.dcmread(path)
    dataset.preamble = None
    del dataset.file_meta
    path.unlink()
    pydicom.dcmwrite(tmp_path / name, dataset, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert (tmp_path / name).read_bytes()[:2] == b"\x08\0"
    assert np.array_equal(read_image(tmp_path / name).pixels[0], picture())


def test_the_file_of_one_sagittal_slice_is_read_into_pixels_that_torch_takes(tmp_path):
    plane = {"ImageOrientationPatient": "0\\1\\0\\0\\0\\-1", "ImagePositionPatient": "0\\0\\0"}
    path = write(tmp_path / "x.dcm", PixelSpacing="1\\1", SliceThickness="3", **plane)
    image = read_image(path)
    assert image.plane == "sagittal"
    assert torch.as_tensor(image.pixels).shape == (1, 40, 56)


def test_a_picture_whose_spacing_is_zero_has_square_pixels(tmp_path):
    """Some CR scanners write it; without a place in the patient nothing else depends on it."""
    image = read_image(write(tmp_path / "x.dcm", PixelSpacing="0\\0"))
    assert image.spacing == (1, 1, 1)


def test_positions_that_are_rounded_to_a_tenth_of_a_millimeter_are_no_gap(series):
    positions(series, [f"{0.625 * index:.1f}" for index in range(6)])
    image = read_image(series, "axial")
    assert image.pixels.shape == (6, 10, 12)
    assert image.spacing[0] == pytest.approx(0.625, abs=0.02)


def test_a_missing_slice_among_rounded_positions_is_a_gap(series):
    positions(series, [f"{0.625 * index:.1f}" for index in (0, 1, 2, 3, 5, 6)])
    with pytest.raises(RefusedImage, match="unevenly spaced slices: 1.2 mm between"):
        read_image(series, "axial")


def test_a_file_whose_frames_cannot_be_counted_is_listed_and_then_named(series):
    for path in series.iterdir():
        change(path, NumberOfFrames="1A")
    assert find_images(series.parent, True)[0] == [series]
    with pytest.raises(RefusedImage, match="NumberOfFrames is '1A'"):
        read_image(series)


def test_a_slice_that_is_a_link_to_nothing_is_named(series):
    last = max(series.iterdir())
    last.unlink()
    last.symlink_to(series.parent / "gone.dcm")
    with pytest.raises(RefusedImage, match=f"{last.name}: a link to nothing") as caught:
        read_image(series)
    assert caught.value.kind == "missing"


def test_the_table_of_contents_of_a_disc_is_no_slice_whatever_it_is_called(series):
    disc = pydicom.dcmread(min(series.iterdir()))
    disc.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    disc.save_as(series / "DIRFILE")
    assert read_image(series, "axial").pixels.shape == (6, 10, 12)
    assert series / "DIRFILE" not in find_images(series, False)[0]
    with pytest.raises(RefusedImage, match="DIRFILE: the table of contents of a DICOM disc"):
        read_image(series / "DIRFILE")
