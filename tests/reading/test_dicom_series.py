"""Folders that are not one series: which series and sorts of images they mix, and every file that cannot be used."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dwskd_monai.data.phantoms.writing import write_series
from dwskd_monai.reading import RefusedImage, read_image
from dwskd_monai.reading.refusal import listed
from tests.reading.dicom_files import change

COUNT = 6


@pytest.fixture
def series(tmp_path) -> Path:
    return written(tmp_path / "series")


def written(folder: Path, **attributes: object) -> Path:
    """The folder of a series of six axial slices, 5 mm apart."""
    pixels = np.random.default_rng(1).integers(-1000, 1500, (12, 10, COUNT)).astype(float)
    write_series(pixels, np.diag([2.0, 3.0, 5.0, 1.0]), folder, "P1", "CT")
    for path in folder.iterdir():
        change(path, **attributes)
    return folder


def uid_of(path: Path) -> str:
    return str(pydicom.dcmread(path).SeriesInstanceUID)


def add(folder: Path, other: Path, count: int = COUNT) -> Path:
    """Copy the first files of a folder into another, with names of their own; the first of them."""
    for path in sorted(other.iterdir())[:count]:
        shutil.copy(path, folder / f"{other.name}-{path.name}")
    return min(folder.glob(f"{other.name}-*"))


def test_each_series_of_a_folder_is_told_with_its_identifier_and_sort(tmp_path, series):
    for name, kind, count in (
        ("scout", ["ORIGINAL", "PRIMARY", "LOCALIZER"], 1),
        ("mpr", ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"], 4),
        ("mip", ["DERIVED", "SECONDARY", "PROJECTION IMAGE"], 2),
        ("smooth", ["DERIVED", "SECONDARY"], 3),
    ):
        add(series, written(tmp_path / name, ImageType=kind), count)
    for path in series.glob("0*"):
        change(path, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    with pytest.raises(RefusedImage, match=r"series: 5 DICOM series in one folder \(") as caught:
        read_image(series)
    reason = caught.value.reason
    first = {name: min(series.glob(f"{name}*")) for name in ("0", "scout", "mpr", "mip", "smooth")}
    for expected in (
        f"6 files like {first['0'].name} of series {uid_of(first['0'])}: CT, original, ORIGINAL\\PRIMARY\\AXIAL",
        f"1 file {first['scout'].name} of series {uid_of(first['scout'])}: CT, localizer, ",
        f"4 files like {first['mpr'].name} of series {uid_of(first['mpr'])}: CT, reformatted, ",
        f"2 files like {first['mip'].name} of series {uid_of(first['mip'])}: CT, projection, ",
        f"3 files like {first['smooth'].name} of series {uid_of(first['smooth'])}: CT, derived, ",
        "expected one; give each a folder of its own",
    ):
        assert expected in reason
    assert caught.value.kind == "geometry"


def test_a_localizer_among_the_slices_of_its_own_series_is_told_apart(series):
    path = min(series.iterdir())
    for other in series.iterdir():
        change(other, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER" if other == path else "AXIAL"])
    with pytest.raises(RefusedImage, match="series: images of several sorts in one DICOM series") as caught:
        read_image(series)
    assert f"1 file {path.name} of series {uid_of(path)}: CT, localizer" in caught.value.reason
    assert caught.value.series == uid_of(path)


def test_slices_that_were_compressed_and_so_derived_stay_in_their_series(series):
    expected = read_image(series).pixels
    for path, value in zip(sorted(series.iterdir())[1:], ["DERIVED", "ORIGINAL", "ORIGINAL", "DERIVED", "ORIGINAL"]):
        change(path, ImageType=[value, "PRIMARY", "AXIAL"])  # and the first has none
    assert np.array_equal(read_image(series).pixels, expected)


def test_a_series_of_derived_images_is_read_as_one(series):
    expected = read_image(series).pixels
    for path in series.iterdir():
        change(path, ImageType=["DERIVED", "SECONDARY", "REFORMATTED"])
    assert np.array_equal(read_image(series).pixels, expected)


def test_bad_files_do_not_hide_that_there_are_several_series(tmp_path, series):
    add(series, written(tmp_path / "other"))
    (series / "page.dcm").write_text("a web page")
    (series / "empty.dcm").touch()
    with pytest.raises(RefusedImage, match="2 DICOM series in one folder") as caught:
        read_image(series)
    assert "2 files cannot be used" in caught.value.reason
    assert "page.dcm: not a DICOM file" in caught.value.reason
    assert "empty.dcm: an empty file" in caught.value.reason


def test_a_report_beside_a_series_is_told_as_one_without_pixels(tmp_path, series):
    report = min(written(tmp_path / "report", Modality="SR", Rows=None, PixelData=None).iterdir())
    shutil.copy(report, series / "report.dcm")
    with pytest.raises(RefusedImage, match=f"1 file report.dcm of series {uid_of(report)}: SR, without pixels"):
        read_image(series)


@pytest.mark.parametrize("attribute", ["PixelSpacing", "ImagePositionPatient", "RescaleSlope", "BitsStored"])
def test_every_file_with_a_bad_value_is_named(series, attribute):
    bad = sorted(series.iterdir())[1:4]
    for path in bad:
        change(path, **{attribute: "1,5\\2,5" if attribute != "BitsStored" else 40})
    with pytest.raises(RefusedImage, match=f"series: 3 of {COUNT} files cannot be used: ") as caught:
        read_image(series)
    for path in bad:
        assert path.name in caught.value.reason
    assert attribute in caught.value.reason
    assert caught.value.series == uid_of(bad[0])


def test_every_damaged_file_is_named_whatever_is_wrong_with_it(series):
    page, empty, cut, short, good, _ = sorted(series.iterdir())
    page.write_text("a web page")
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:400])
    change(short, SamplesPerPixel=3)
    with pytest.raises(RefusedImage) as caught:
        read_image(series)
    for path in (page, empty, cut, short):
        assert path.name in caught.value.reason
    assert good.name not in caught.value.reason


def test_every_file_whose_pixels_cannot_be_decoded_is_named(series):
    bad = sorted(series.iterdir())[::2]
    for path in bad:
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RefusedImage, match=f"3 of {COUNT} files cannot be used: ") as caught:
        read_image(series)
    assert all(path.name in caught.value.reason for path in bad)
    assert caught.value.kind == "damaged"


def test_many_bad_files_are_counted_and_reasons_that_differ_in_numbers_are_one():
    refusals = [RefusedImage(Path(f"{number:02d}.dcm"), f"PixelSpacing is {number}; bad") for number in range(12)]
    names = ", ".join(f"{number:02d}.dcm" for number in range(10))
    assert listed(refusals) == f"{names}, and 2 more: PixelSpacing is 0; bad"
    other = RefusedImage(Path("x.dcm"), "cut off")
    assert listed([*refusals[:1], other]) == "00.dcm: PixelSpacing is 0; bad | x.dcm: cut off"


def test_images_at_one_position_are_counted_with_what_they_differ_in(series):
    for path in list(series.iterdir()):
        change(path, AcquisitionNumber=1)
        later = shutil.copy(path, series / f"b{path.name}")
        change(later, AcquisitionNumber=2)
    with pytest.raises(RefusedImage, match=r"12 slices lie at 6 positions and differ in AcquisitionNumber; expected"):
        read_image(series)


@pytest.mark.parametrize("stack", ["sagittal", "axial"])
def test_a_stack_that_is_cut_into_slices_of_another_plane_is_said(tmp_path, caplog, stack):
    """An isotropic volume, of sagittal slices or of axial ones."""
    series = written(tmp_path / "series")
    for index, path in enumerate(sorted(series.iterdir(), key=lambda path: path.stem[-3:])):
        directions = {"sagittal": "0\\1\\0\\0\\0\\-1", "axial": "1\\0\\0\\0\\1\\0"}[stack]
        place = {"sagittal": f"{2 * index}\\0\\0", "axial": f"0\\0\\{2 * index}"}[stack]
        change(path, ImageOrientationPatient=directions, ImagePositionPatient=place, PixelSpacing="2\\2")
    assert read_image(series, "thickest").plane == "axial"
    said = f"series: its slices are {stack}, and it is cut into axial ones" in caplog.text
    assert said == (stack != "axial")
    caplog.clear()
    assert read_image(series, stack).plane == stack
    assert caplog.text == ""
