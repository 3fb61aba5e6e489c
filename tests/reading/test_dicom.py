from __future__ import annotations

import re
import shutil
from pathlib import Path

import itk
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataelem import DataElement
from pydicom.uid import JPEG2000Lossless, RLELossless

from dwskd_monai.data.phantoms.writing import write_dicom, write_multiframe, write_nifti, write_series
from dwskd_monai.reading import RefusedImage, read_image
from dwskd_monai.reading.dicom import patient_of


@pytest.fixture
def picture() -> np.ndarray:
    """12-bit, not symmetric, height unlike width."""
    picture = np.random.default_rng(0).integers(0, 500, (40, 56)).astype(np.uint16)
    picture[5:15, 3:10] = 4000
    return picture


@pytest.fixture
def volume() -> tuple[np.ndarray, np.ndarray]:
    """Hounsfield units (x, y, z), oblique, with spacing 2 × 3 × 5 mm."""
    pixels = np.random.default_rng(1).integers(-1000, 1500, (12, 10, 6)).astype(float)
    angle = np.deg2rad(15)
    affine = np.eye(4)
    affine[:3, :3] = [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    affine[:3, :3] *= [2.0, 3.0, 5.0]
    affine[:3, 3] = (-20, 30, 100)
    return pixels, affine


@pytest.fixture
def series(tmp_path, volume) -> Path:
    write_series(*volume, tmp_path / "series", "P1", "CT")
    return tmp_path / "series"


def change(path: Path, **attributes: object) -> None:
    dataset = pydicom.dcmread(path)
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)


def nth(series: Path, number: int) -> Path:
    """The file of a slice; names are not in the order of slices."""
    return next(path for path in series.iterdir() if path.stem.endswith(f"-{number:03d}"))


@pytest.mark.parametrize("inverted", [False, True])
def test_a_picture_has_one_polarity_and_timms_axis_order(tmp_path, picture, inverted):
    write_dicom(picture, tmp_path / "x.dcm", "P1", inverted)
    study = read_image(tmp_path / "x.dcm")
    assert np.array_equal(study.pixels, picture[None])
    assert (study.kind, study.plane) == ("DX", None)


def test_slope_and_intercept_are_applied(tmp_path, picture):
    write_dicom(picture, tmp_path / "x.dcm", "P1", False)
    change(tmp_path / "x.dcm", RescaleSlope=2.0, RescaleIntercept=-100.0)
    assert np.array_equal(read_image(tmp_path / "x.dcm").pixels[0], picture * 2.0 - 100)


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_series_multi_frame_and_nifti_are_one_study(tmp_path, volume, series, axis):
    write_nifti(*volume, tmp_path / "x.nii.gz", "PSR")
    write_multiframe(*volume, tmp_path / "x.dcm", "P1", "CT")
    studies = [read_image(path, axis) for path in (tmp_path / "x.nii.gz", series, tmp_path / "x.dcm")]
    for study in studies:
        assert np.array_equal(study.pixels, studies[0].pixels)
        assert study.spacing == pytest.approx(studies[0].spacing, abs=1e-5)
        assert study.plane == axis
    assert [study.kind for study in studies] == ["volume", "CT", "CT"]
    expected = volume[0].transpose(2, 1, 0)[:, ::-1, ::-1]
    assert np.array_equal(studies[0].pixels, expected) == (axis == "axial")


def test_frames_in_any_order_are_sorted_by_their_position(tmp_path, volume):
    write_multiframe(*volume, tmp_path / "x.dcm", "P1", "CT")
    expected = read_image(tmp_path / "x.dcm", "axial").pixels
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    order, frames = [3, 0, 5, 1, 4, 2], dataset.pixel_array
    dataset.PerFrameFunctionalGroupsSequence = [dataset.PerFrameFunctionalGroupsSequence[i] for i in order]
    dataset.PixelData = frames[order].tobytes()
    dataset.save_as(tmp_path / "x.dcm")
    assert np.array_equal(read_image(tmp_path / "x.dcm", "axial").pixels, expected)


@pytest.mark.parametrize("signed", [False, True])
def test_compressed_frames_are_those_of_the_plain_file(tmp_path, volume, signed):
    write_multiframe(*volume, tmp_path / "x.dcm", "P1", "CT")
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    if signed:
        scale = dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0]
        scale.RescaleIntercept, scale.RescaleSlope = "7", "0.5"
        dataset.PixelRepresentation = 1
        dataset.PixelData = (dataset.pixel_array.astype("<i2") - 1500).clip(-2048, 2047).tobytes()
        dataset.save_as(tmp_path / "x.dcm")
    plain = read_image(tmp_path / "x.dcm", "axial").pixels
    assert plain.min() < -400
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    dataset.compress(RLELossless)
    dataset.save_as(tmp_path / "rle.dcm")
    assert np.array_equal(read_image(tmp_path / "rle.dcm", "axial").pixels, plain)


def test_unused_upper_bits_of_frames_mean_nothing(tmp_path, volume):
    write_multiframe(*volume, tmp_path / "x.dcm", "P1", "CT")
    expected = read_image(tmp_path / "x.dcm", "axial").pixels
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    change(tmp_path / "x.dcm", PixelData=(dataset.pixel_array | 0xA000).astype("<u2").tobytes())
    assert np.array_equal(read_image(tmp_path / "x.dcm", "axial").pixels, expected)


def test_the_pixels_of_a_large_multi_frame_file_are_read_frame_by_frame(tmp_path, monkeypatch):
    pixels = np.random.default_rng(1).integers(-1000, 1500, (64, 48, 20)).astype(float)
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    write_nifti(pixels, affine, tmp_path / "x.nii.gz")
    write_multiframe(pixels, affine, tmp_path / "x.dcm", "P1", "CT")
    monkeypatch.setattr(
        "pydicom.filereader.read_deferred_data_element", lambda *_: pytest.fail("all were read at once")
    )
    assert np.array_equal(read_image(tmp_path / "x.dcm").pixels, read_image(tmp_path / "x.nii.gz").pixels)
    path = tmp_path / "x.dcm"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(RefusedImage, match=r"expected 122880 bytes of 20 × 48 × 64 pixels of 16 bits, got 122380\)"):
        read_image(path)


@pytest.mark.parametrize("cut", [20, 500])
def test_a_truncated_multi_frame_file_is_named(tmp_path, volume, cut):
    path = tmp_path / "x.dcm"
    write_multiframe(*volume, path, "P1", "CT")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(
        ValueError, match=r"x.dcm: a damaged DICOM file, its pixels cannot be decoded \(expected 1440 b"
    ):
        read_image(path)


def test_files_without_a_suffix_are_found_by_their_content(series):
    expected = read_image(series, "axial").pixels
    for path in list(series.iterdir()):
        path.rename(series / f"IM{path.stem}.1")
    assert np.array_equal(read_image(series, "axial").pixels, expected)


def test_run_length_compression_is_decoded(tmp_path, picture):
    write_dicom(picture, tmp_path / "x.dcm", "P1", False)
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    dataset.compress(RLELossless)
    dataset.save_as(tmp_path / "x.dcm")
    assert np.array_equal(read_image(tmp_path / "x.dcm").pixels[0], picture)


def test_jpeg_2000_is_decoded(tmp_path, picture):
    writer = itk.GDCMImageIO.New(UseCompression=True)
    itk.imwrite(itk.image_from_array(picture), str(tmp_path / "x.dcm"), imageio=writer, compression=True)
    assert pydicom.dcmread(tmp_path / "x.dcm").file_meta.TransferSyntaxUID == JPEG2000Lossless
    assert np.array_equal(read_image(tmp_path / "x.dcm").pixels[0], picture)


def test_one_slice_of_a_series_is_a_study(series):
    study = read_image(nth(series, 2), "axial")
    assert np.array_equal(study.pixels[0], read_image(series, "axial").pixels[2])
    with pytest.raises(ValueError, match="its only slice is axial, slice_axis is coronal"):
        read_image(nth(series, 2), "coronal")


def test_a_series_with_one_file_is_that_slice(series):
    for number in (0, 1, 2, 3, 4):
        nth(series, number).unlink()
    assert read_image(series).pixels.shape == (1, 10, 12)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.97])
def test_a_truncated_or_empty_file_is_named(tmp_path, picture, kept):
    path = tmp_path / "x.dcm"
    write_dicom(picture, path, "P1", False)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(ValueError, match=r"x.dcm: (a damaged DICOM file|an empty file)"):
        read_image(path)


def test_a_truncated_file_of_a_series_is_named(series):
    path = nth(series, 3)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=f"{path.name}: a damaged DICOM file"):
        read_image(series)


@pytest.mark.parametrize("content", ["<html>" + " " * 200 + "</html>", "text", ""])
def test_a_text_or_html_file_called_dcm_is_named(tmp_path, series, content):
    (tmp_path / "page.dcm").write_text(content)
    with pytest.raises(ValueError, match=r"page.dcm: (not a DICOM file, whatever it is called|an empty file)"):
        read_image(tmp_path / "page.dcm")
    shutil.copy(tmp_path / "page.dcm", series)
    with pytest.raises(ValueError, match=r"page.dcm: (not a DICOM file, whatever it is called|an empty file)"):
        read_image(series)


def test_a_missing_slice_is_named_with_its_gap(series):
    nth(series, 2).unlink()
    with pytest.raises(ValueError, match=r"unevenly spaced slices: 10 mm between \S+-001.dcm and \S+-003.dcm, 5 mm"):
        read_image(series)
    assert read_image(series, spacing_tolerance=1.5).pixels.shape == (5, 10, 12)


def test_unevenly_spaced_slices_are_named_with_their_gap(series):
    path = nth(series, 5)
    position = np.array(pydicom.dcmread(path).ImagePositionPatient, float)
    before = np.array(pydicom.dcmread(nth(series, 4)).ImagePositionPatient, float)
    change(path, ImagePositionPatient=[f"{v:.8g}" for v in before + (position - before) * 1.3])
    with pytest.raises(ValueError, match=r"series: unevenly spaced slices: 6.5 mm between .*1 such gaps of 5"):
        read_image(series)


def test_slices_at_one_position_are_named(series):
    change(nth(series, 1), ImagePositionPatient=pydicom.dcmread(nth(series, 0)).ImagePositionPatient)
    with pytest.raises(ValueError, match=r"two slices at one position: \S+-000.dcm and \S+-001.dcm"):
        read_image(series)


@pytest.mark.parametrize("name", ["ImagePositionPatient", "ImageOrientationPatient"])
def test_a_slice_without_its_place_is_named(series, name):
    change(nth(series, 1), **{name: None})
    with pytest.raises(ValueError, match=r"-001.dcm: no ImagePositionPatient or ImageOrientationPatient"):
        read_image(series)


def test_slices_that_do_not_belong_together_are_named(series):
    path = nth(series, 1)
    good = path.read_bytes()
    change(path, ImageOrientationPatient=["0", "1", "0", "0", "0", "-1"])
    with pytest.raises(ValueError, match="another orientation or pixel spacing"):
        read_image(series)
    path.write_bytes(good)
    change(path, PixelSpacing=["1", "1"])
    with pytest.raises(ValueError, match="another orientation or pixel spacing"):
        read_image(series)
    path.write_bytes(good)
    pixels = pydicom.dcmread(path).pixel_array
    change(path, Rows=5, PixelData=pixels[:5].tobytes())
    with pytest.raises(ValueError, match=r"slices of different sizes in one series \(.*10 × 12.*5 × 12"):
        read_image(series)


@pytest.mark.parametrize("extra", ["preview.png", "scan.nii.gz"])
def test_2_d_and_3_d_images_mixed_in_the_folder_of_a_series(series, volume, extra):
    if extra.endswith("png"):
        Image.new("L", (4, 4)).save(series / extra)
    else:
        write_nifti(*volume, series / extra)
    with pytest.raises(ValueError, match=f"{extra} among the DICOM files of a series"):
        read_image(series)


def test_a_volume_among_the_slices_of_a_series(series, volume):
    write_multiframe(*volume, series / "all.dcm", "P1", "CT")
    change(series / "all.dcm", SeriesInstanceUID=pydicom.dcmread(nth(series, 0)).SeriesInstanceUID)
    with pytest.raises(ValueError, match=r"all.dcm is a volume \(multi-frame\) among 7 files of one series"):
        read_image(series)


@pytest.mark.parametrize("value", ["0", "NaN"])
def test_a_slope_of_zero_or_nan_is_named(tmp_path, series, volume, value):
    def spoil(dataset: pydicom.Dataset) -> None:
        element = DataElement("RescaleSlope", "DS", "1")
        element._value = value
        dataset["RescaleSlope"] = element

    path = nth(series, 2)
    dataset = pydicom.dcmread(path)
    spoil(dataset)
    dataset.save_as(path)
    for place in (series, path):
        with pytest.raises(ValueError, match=r"-002.dcm: RescaleSlope is (0; its pixels have no|nan; expected finite)"):
            read_image(place)
    write_multiframe(*volume, tmp_path / "x.dcm", "P1", "CT")
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    spoil(dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0])
    dataset.save_as(tmp_path / "x.dcm")
    with pytest.raises(ValueError, match=r"x.dcm: RescaleSlope of frame \d is (0|nan)"):
        read_image(tmp_path / "x.dcm")


def test_each_frame_has_its_own_slope(tmp_path, volume):
    write_multiframe(*volume, tmp_path / "x.dcm", "P1", "CT")
    expected = read_image(tmp_path / "x.dcm", "axial").pixels.copy()
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    scale = dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    other = pydicom.Dataset()
    other.RescaleSlope, other.RescaleIntercept = "2", "-1024"
    for index, item in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        item.PixelValueTransformationSequence = [other] if index == 4 else scale
    dataset.save_as(tmp_path / "x.dcm")
    expected[1] = (expected[1] + 1024) * 2 - 1024  # frames are written from superior to inferior
    assert np.array_equal(read_image(tmp_path / "x.dcm", "axial").pixels, expected)


def test_frames_without_positions_are_no_volume(tmp_path, picture):
    write_dicom(picture, tmp_path / "film.dcm", "P1", False)
    change(tmp_path / "film.dcm", NumberOfFrames=2, PixelData=picture.astype("<u2").tobytes() * 2)
    with pytest.raises(ValueError, match=r"film.dcm: 2 frames, positions of 0; expected an enhanced multi-frame file"):
        read_image(tmp_path / "film.dcm")


def test_a_missing_frame_is_named_with_its_gap(tmp_path, volume):
    write_multiframe(*volume, tmp_path / "x.dcm", "P1", "CT")
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    frames = dataset.pixel_array
    del dataset.PerFrameFunctionalGroupsSequence[2]
    dataset.NumberOfFrames, dataset.PixelData = 5, np.delete(frames, 2, 0).tobytes()
    dataset.save_as(tmp_path / "x.dcm")
    with pytest.raises(ValueError, match=r"10 mm between x.dcm, frame 3 and x.dcm, frame 2, 5 mm"):
        read_image(tmp_path / "x.dcm")


def test_color_is_named(tmp_path, picture):
    write_dicom(picture, tmp_path / "color.dcm", "P1", False)
    color = np.stack([(picture // 16).astype(np.uint8)] * 3, -1)
    change(
        tmp_path / "color.dcm",
        **{"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"},
        **{"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": color.tobytes()},
    )
    with pytest.raises(ValueError, match=r"color.dcm: expected gray pixels, got 3 samples per pixel"):
        read_image(tmp_path / "color.dcm")


def test_a_report_without_pixels_is_named(tmp_path, picture):
    write_dicom(picture, tmp_path / "report.dcm", "P1", False)
    change(tmp_path / "report.dcm", Rows=None, Columns=None, PixelData=None)
    with pytest.raises(ValueError, match=r"report.dcm: a DICOM file without pixels"):
        read_image(tmp_path / "report.dcm")


def test_a_folder_without_dicom_is_named(tmp_path):
    with pytest.raises(ValueError, match="a folder without a DICOM file"):
        read_image(tmp_path)


def test_the_patient_of_files_and_series(tmp_path, series, picture):
    write_dicom(picture, tmp_path / "x.dcm", "P7", False)
    Image.new("L", (4, 4)).save(tmp_path / "x.png")
    found = [patient_of(path) for path in (tmp_path / "x.dcm", series, tmp_path / "x.png")]
    assert found == ["P7", "P1", None]


def test_no_message_names_the_patient(series, tmp_path, volume, picture):
    """Whatever is wrong with a file: its path is told, and nothing from its header."""
    write_dicom(picture, tmp_path / "x.dcm", "P1", False)
    paths = [tmp_path / "x.dcm", *series.iterdir()]
    for path in paths:
        assert b"Phantom^P1" in path.read_bytes()
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(ValueError, match="damaged") as caught:
            read_image(path)
        messages, error = [], caught.value
        while error is not None:
            messages.append(str(error))
            error = error.__cause__ or error.__context__
        assert "Phantom" not in "".join(messages)


@pytest.mark.parametrize("name", ["0007.dcm.gz", "0007.dcm"])
def test_a_file_that_is_called_like_the_slices_and_is_not_dicom_is_named(tmp_path, name):
    write_series(np.arange(48.0).reshape(4, 4, 3), np.eye(4), tmp_path / "s", "P1", "CT")
    first = min((tmp_path / "s").iterdir())
    lost = tmp_path / "s" / (re.sub(r"\d+", "7", first.stem) + name.removeprefix("0007"))
    lost.write_bytes(b"not DICOM")
    (tmp_path / "s" / "LICENSE").write_text("x")
    with pytest.raises(RefusedImage, match=rf"{lost.name}: not a DICOM file"):
        read_image(tmp_path / "s")


@pytest.mark.parametrize(
    ("attribute", "values", "message"),
    [
        ("PatientID", ("A", "B"), "slices of several patients in one folder"),
        ("StudyInstanceUID", ("1.2.3", "1.2.4"), "slices of one series with different StudyInstanceUID"),
        ("RescaleIntercept", ("0", "-1024"), "slices of one series with different RescaleIntercept"),
        ("Modality", ("CT", "PT"), "slices of one series with different Modality"),
    ],
)
def test_slices_that_do_not_belong_together_are_refused(tmp_path, attribute, values, message):
    write_series(np.arange(48.0).reshape(4, 4, 3), np.eye(4), tmp_path / "s", "P1", "CT")
    for number, path in enumerate(sorted((tmp_path / "s").iterdir())):
        dataset = pydicom.dcmread(path)
        setattr(dataset, attribute, values[number == 2])
        dataset.save_as(path)
    with pytest.raises(RefusedImage, match=message) as caught:
        read_image(tmp_path / "s")
    assert "P1" not in str(caught.value)


@pytest.mark.parametrize(
    ("sequence", "name", "meaning"),
    [("ViewCodeSequence", "view", "left lateral"), ("AnatomicRegionSequence", "body_part", "Hand")],
)
def test_codes_say_the_view_and_the_body_part_too(tmp_path, sequence, name, meaning):
    write_dicom(np.arange(64, dtype=np.uint16).reshape(8, 8), tmp_path / "a.dcm", "P1", False)
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    item = pydicom.Dataset()
    item.CodeMeaning = meaning
    setattr(dataset, sequence, pydicom.Sequence([item]))
    dataset.save_as(tmp_path / "a.dcm")
    assert read_image(tmp_path / "a.dcm").says[name] == meaning.upper()
