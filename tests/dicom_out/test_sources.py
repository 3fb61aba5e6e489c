"""Which files are the images of a study, and which of them is the deciding slice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dwskd_monai.data.phantoms.writing import write_multiframe, write_series
from dwskd_monai.dicom_out.said import Said
from dwskd_monai.dicom_out.series import report_series
from dwskd_monai.dicom_out.sources import dicom_files, read_sources, source_of
from dwskd_monai.evaluation.unlike import StudyNovelty
from dwskd_monai.reading import RefusedImage, read_image
from dwskd_monai.runtime.deciding import DecidingSlice
from tests.reading.dicom_files import write


def volume() -> np.ndarray:
    """Seven axial slices, the first at the feet; each has its own mean, from 100 to 700."""
    noise = np.random.default_rng(0).normal(0, 5, (20, 18, 7))
    return noise + 100 * np.arange(1, 8)


def deciding(path: Path, number: int, count: int, plane: str | None) -> DecidingSlice:
    return DecidingSlice(path, number, count, plane, np.zeros((4, 4), np.float32), (0.0, 1.0), 4.0, 4.0)


# A column of the affine for each pixel axis; the last one is that of the slices
AFFINES = {
    "axial": np.diag([1.0, 1.0, 5.0, 1.0]),
    "axial from head to feet": np.diag([1.0, 1.0, -5.0, 1.0]),
    "tilted": np.array([[1, 0, 0, 0], [0, 0.966, -1.29, 0], [0, 0.259, 4.83, 0], [0, 0, 0, 1.0]]),
}


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_the_file_of_a_slice_is_the_one_with_its_pixels(tmp_path, affine):
    write_series(volume(), affine, tmp_path / "mr", "P1", "MR")
    image = read_image(tmp_path / "mr", "axial")
    sources = read_sources(dicom_files(tmp_path / "mr"))
    assert len(image.pixels) == 7
    for number, pixels in enumerate(image.pixels):
        source = source_of(sources, deciding(tmp_path / "mr", number, 7, image.plane))
        assert source is not None
        assert pydicom.dcmread(source.path).pixel_array.mean() == pytest.approx(pixels.mean())


def test_a_slice_across_the_files_is_in_no_single_file(tmp_path):
    write_series(volume(), np.eye(4), tmp_path / "mr", "P1", "MR")
    image = read_image(tmp_path / "mr", "coronal")
    sources = read_sources(dicom_files(tmp_path / "mr"))
    assert source_of(sources, deciding(tmp_path / "mr", 3, len(image.pixels), "coronal")) is None
    unplaced = [replace(source, position=None) for source in sources]
    assert source_of(unplaced, deciding(tmp_path / "mr", 3, 7, "axial")) is None


def test_a_single_file_is_that_of_each_of_its_slices(tmp_path):
    path = tmp_path / "volume.dcm"
    write_multiframe(volume(), np.eye(4), path, "P1", "MR")
    sources = read_sources(dicom_files(path))
    assert source_of(sources, deciding(path, 5, 7, "axial")) == sources[0]


def test_files_that_are_not_dicom_are_no_sources(tmp_path):
    (tmp_path / "notes.txt").write_text("seen")
    (tmp_path / "series").mkdir()
    path = write(tmp_path / "series" / "1")
    (tmp_path / "series" / "DIRFILE").write_text("no image")
    assert dicom_files(tmp_path / "notes.txt") == []
    assert dicom_files(tmp_path / "series") == [path]
    with pytest.raises(ValueError, match="expected the DICOM files of a study, got none"):
        read_sources([])


def test_images_of_several_patients_get_no_answer(tmp_path):
    names = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
    patients = {"a": "SECRETIVE1", "b": "SECRETIVE2", "c": ""}
    files = [write(tmp_path / f"{name}.dcm", PatientID=patient, **names) for name, patient in patients.items()]
    with pytest.raises(RefusedImage, match=r"images of 2 patients in one DICOM study; expected those of one$"):
        read_sources(files)
    assert len(read_sources(files[1:])) == 2, "nothing is known of the patient of the other image"


def test_images_that_came_in_two_studies_have_answers_of_their_own(tmp_path):
    file = write(tmp_path / "xray.dcm", StudyInstanceUID="1.2.3")
    (source,) = read_sources([file])
    said = Said("title", "1", "digest", "digest", (), None, None, StudyNovelty(None, None))
    series = [report_series(said, [replace(source, study=study)]) for study in ("1.2.3", "1.2.4")]
    for name in ("uid", "instance", "observation"):
        assert len({getattr(one, name) for one in series}) == 2
    assert series[0].device == series[1].device
