"""``--dicom_out`` writes two files for each DICOM study, and tells of the others without naming a patient."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from dwskd_monai.runtime.command import main
from tests.reading.dicom_files import change, picture, write

NAME = "Somebody^Unmistakable"


def studies_of(csv_file: Path) -> list[str]:
    with csv_file.open(newline="") as file:
        return [row["study"] for row in csv.DictReader(file)]


@pytest.fixture
def studies(tmp_path) -> Path:
    """Two DICOM files in folders of their own, one of them without a SOP class, and a PNG."""
    folder = tmp_path / "studies"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        path = write(folder / name / "1.dcm", picture(), PatientID="HOSPITAL-7731")
        dataset = pydicom.dcmread(path)
        dataset.PatientName = NAME
        dataset.save_as(path)
        change(path, PatientBirthDate="Unmistakable", PatientWeight="Somebody")  # as damaged headers have it
    change(folder / "b" / "1.dcm", SOPClassUID=None)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "c.png")
    return folder


def test_each_dicom_study_gets_two_files_and_the_others_are_told_of(model, studies, tmp_path, caplog, capsys):
    caplog.set_level("INFO")
    options = ["--out", str(tmp_path / "out"), "--dicom_out", str(tmp_path / "answers")]
    assert main([str(studies), *options], model) == 3
    assert len(studies_of(tmp_path / "out" / "predictions.csv")) == 3, "the CSV is written for all of them"
    datasets = [pydicom.dcmread(path) for path in sorted((tmp_path / "answers").iterdir())]
    assert [dataset.Modality for dataset in datasets] == ["OT", "SR"]
    source = pydicom.dcmread(studies / "a" / "1.dcm")
    for dataset in datasets:
        assert (dataset.StudyInstanceUID, dataset.PatientName) == (source.StudyInstanceUID, NAME)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text for text in warnings if "DICOM" in text or "SOPClassUID" in text] == [
        f"no DICOM answer for {studies / 'b' / '1.dcm'}: no SOPClassUID, so no report can refer to this image; "
        "export it again",
        "1 study is not DICOM, so it has no DICOM answer",
    ]
    assert capsys.readouterr().err.endswith("1 study has no DICOM answer; the log says why\n")


@pytest.mark.slow
def test_images_with_the_same_identifiers_do_not_replace_the_answers_of_each_other(model, tmp_path, caplog):
    caplog.set_level("INFO")
    first, copy, other = (tmp_path / "studies" / f"{name}.dcm" for name in "abc")
    first.parent.mkdir()
    write(first)
    identifiers = pydicom.dcmread(first)
    shutil.copy(first, copy)
    options = [str(first.parent), "--out", str(tmp_path / "out"), "--dicom_out", str(tmp_path / "answers")]
    assert main(options, model) == 0
    assert f"1 DICOM reports and pictures written to {tmp_path / 'answers'}" in caplog.messages
    same = {name: str(identifiers[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
    write(other, picture()[::-1], **same)
    assert main(options, model) == 3
    assert f"no DICOM answer for {other}: its images have the identifiers of those of {first}" in caplog.messages
    assert len([*(tmp_path / "answers").iterdir()]) == 2


def test_all_is_told_even_if_an_image_is_refused(model, studies, tmp_path, caplog, capsys):
    (studies / "d.png").write_text("no picture")
    options = ["--out", str(tmp_path / "out"), "--dicom_out", str(tmp_path / "answers")]
    assert main([str(studies), *options], model) == 3
    assert "1 study is not DICOM" in caplog.text
    assert "no SOPClassUID" in caplog.text
    assert len(list((tmp_path / "answers").iterdir())) == 2
    assert "1 image was refused" in capsys.readouterr().err


def test_no_name_of_a_patient_is_told(model, studies, tmp_path, caplog, capfd):
    caplog.set_level("DEBUG")
    main([str(studies), "--out", str(tmp_path / "out"), "--dicom_out", str(tmp_path / "answers")], model)
    told = [caplog.text, *capfd.readouterr()]
    told += [str(path) for path in (tmp_path / "answers").iterdir()]
    told += [path.read_text() for path in (tmp_path / "out").iterdir()]
    for word in (*NAME.split("^"), "7731"):
        assert not [text for text in told if word in text]


def test_a_second_run_writes_the_same_files_again(model, studies, tmp_path):
    options = ["--out", str(tmp_path / "out"), "--dicom_out", str(tmp_path / "answers")]
    image = studies / "a" / "1.dcm"
    assert main([str(image), *options], model) == 0
    first = {path.name for path in (tmp_path / "answers").iterdir()}
    assert main([str(image), *options], model) == 0
    assert {path.name for path in (tmp_path / "answers").iterdir()} == first
    names = {f"{d.Modality}.{d.SOPInstanceUID}.dcm" for d in map(pydicom.dcmread, (tmp_path / "answers").iterdir())}
    assert names == first


def test_pictures_alone_are_no_error(model, studies, tmp_path, caplog):
    options = ["--out", str(tmp_path / "out"), "--dicom_out", str(tmp_path / "answers")]
    assert main([str(studies / "c.png"), *options], model) == 0
    assert "1 study is not DICOM" in caplog.text
    assert not (tmp_path / "answers").exists()


def test_answers_among_the_images_are_refused(model, studies, tmp_path, capsys):
    inside = studies / "answers"
    assert main([str(studies), "--out", str(tmp_path / "out"), "--dicom_out", str(inside)], model) == 2
    assert f"dicom_out: {inside} is in {studies}, where images are looked for" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_highdicom_it_is_named(model, studies, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("dwskd_monai.dicom_out.answers.find_spec", lambda name: None)
    assert main([str(studies), "--out", str(tmp_path / "out"), "--dicom_out", str(tmp_path / "answers")], model) == 2
    assert "highdicom must be installed: pip install highdicom==0.28.2" in capsys.readouterr().err
