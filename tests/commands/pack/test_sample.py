from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from dwskd_monai.commands.pack.sample import KEPT, put_sample
from dwskd_monai.data.phantoms.writing import write_dicom, write_multiframe, write_series
from dwskd_monai.reading.dicom import patient_of, read_file, read_series

# What says who somebody is, wherever a header has room for it
SECRETS = ("DOE^JANE", "4711-0815", "19520229", "St. Mary", "1.2.826.0.1.99", "seen by Dr. Roe", "jane_doe")


def mark(path: Path) -> None:
    """Put the secrets into a DICOM file."""
    dataset = pydicom.dcmread(path)
    dataset.PatientName = "DOE^JANE"
    dataset.PatientID = "4711-0815"
    dataset.OtherPatientIDs = "4711-0815"
    dataset.PatientBirthDate = dataset.StudyDate = "19520229"
    dataset.InstitutionName = "St. Mary"
    dataset.StudyInstanceUID = "1.2.826.0.1.99"
    dataset.SeriesDescription = dataset.ImageComments = "seen by Dr. Roe"
    inner = Dataset()
    inner.PatientName = "DOE^JANE"
    dataset.ReferencedPatientSequence = [inner]
    dataset.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "DOE^JANE")
    for group in dataset.get("PerFrameFunctionalGroupsSequence", []):
        group.FrameContentSequence = [inner]
    dataset.add_new(0x60003000, "OB", b"DOE^JANE")
    dataset.save_as(path)


def secrets_in(folder: Path) -> list[str]:
    content = b"".join(path.name.encode() + path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return [secret for secret in SECRETS if secret.encode() in content]


@pytest.fixture
def places(tmp_path) -> tuple[Path, Path]:
    """A folder for the study as a hospital exports it, and one to put the sample into."""
    for name in ("jane_doe", "out"):
        (tmp_path / name).mkdir()
    return tmp_path / "jane_doe", tmp_path / "out"


def test_a_picture_keeps_its_pixels_and_nothing_of_the_patient(places):
    source, out = places
    stored = np.random.default_rng(0).integers(0, 4096, (20, 30), dtype=np.uint16)
    for inverted in (False, True):
        path = source / "jane_doe.dcm"
        write_dicom(stored, path, "4711-0815", inverted)
        mark(path)
        assert len(secrets_in(source)) == len(SECRETS), "the marks are there"
        put_sample(path, out)
        assert [file.name for file in out.iterdir()] == ["sample.dcm"]
        assert secrets_in(out) == []
        before, after = (read_file(file, "axial", 0.1) for file in (path, out / "sample.dcm"))
        np.testing.assert_array_equal(before.pixels, after.pixels)
        assert patient_of(out / "sample.dcm") == "sample"


@pytest.mark.parametrize("multiframe", [False, True])
def test_a_volume_keeps_its_voxels_and_its_geometry_and_nothing_of_the_patient(places, multiframe):
    source, out = places
    volume = np.random.default_rng(0).normal(0, 300, (12, 10, 6)).round()
    affine = np.diag([0.7, 0.8, 2.5, 1.0])
    if multiframe:
        path = source / "jane_doe.dcm"
        write_multiframe(volume, affine, path, "4711-0815", "CT")
        mark(path)
    else:
        path = source / "jane_doe"
        write_series(volume, affine, path, "4711-0815", "CT")
        for file in path.iterdir():
            mark(file)
    put_sample(path, out)
    (packed,) = out.iterdir()
    assert secrets_in(out) == []
    read = read_file if multiframe else read_series
    before, after = read(path, "axial", 0.1), read(packed, "axial", 0.1)
    np.testing.assert_array_equal(before.pixels, after.pixels)
    assert before.spacing == after.spacing


def test_each_attribute_of_the_sample_is_among_those_that_are_kept_or_new(places):
    source, out = places
    path = source / "x.dcm"
    write_dicom(np.ones((4, 4), np.uint16), path, "4711-0815", False)
    mark(path)
    put_sample(path, out)
    new = {"PatientName", "PatientID", "PatientIdentityRemoved", "DeidentificationMethod"}
    new |= {f"{what}UID" for what in ("StudyInstance", "SeriesInstance", "SOPInstance", "FrameOfReference")}
    packed = pydicom.dcmread(out / "sample.dcm")
    assert {element.keyword for element in packed} <= KEPT | new
    assert packed.PatientName == ""


def test_the_same_sample_gives_the_same_bytes(places):
    source, out = places
    path = source / "x.dcm"
    write_dicom(np.ones((4, 4), np.uint16), path, "4711-0815", False)
    digests = []
    for _ in range(2):
        put_sample(path, out)
        digests.append(hashlib.sha256((out / "sample.dcm").read_bytes()).hexdigest())
    assert digests[0] == digests[1]


def test_text_that_is_burned_into_the_pixels_is_refused(places):
    source, out = places
    path = source / "x.dcm"
    write_dicom(np.ones((4, 4), np.uint16), path, "4711-0815", False)
    dataset = pydicom.dcmread(path)
    dataset.BurnedInAnnotation = "YES"
    dataset.save_as(path)
    with pytest.raises(ValueError, match=r"x.dcm has text burned into its pixels .*; give another study"):
        put_sample(path, out)
    assert not list(out.iterdir())


def test_a_picture_of_another_format_is_copied_under_a_name_of_no_meaning(places):
    source, out = places
    Image.new("L", (4, 4)).save(source / "jane_doe.PNG")
    put_sample(source / "jane_doe.PNG", out)
    assert (out / "sample.png").read_bytes() == (source / "jane_doe.PNG").read_bytes()
