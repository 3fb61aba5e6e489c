"""What a report has of the patient and the study is what the image has, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from highdicom.base import SOPClass
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from dwskd_monai.dicom_out.modules import copy_patient_and_study, read_whole_header
from dwskd_monai.reading import RefusedImage
from tests.reading.dicom_files import change, write

KANJI = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def raw_element(name: str, kind: str, value: bytes) -> RawDataElement:
    return RawDataElement(Tag(name), kind, len(value), value, 0, False, True)


def copied(path: Path, **texts: str) -> Dataset:
    """What is copied from a file, written to a file beside it and read again."""
    target = Dataset()
    target.SOPClassUID = target.SOPInstanceUID = "1.2.3"
    for name, text in texts.items():
        setattr(target, name, text)
    copy_patient_and_study(read_whole_header(path), target, path)
    target.file_meta = pydicom.dataset.FileMetaDataset()
    target.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    target.save_as(path.with_name("copy.dcm"), enforce_file_format=True)
    return pydicom.dcmread(path.with_name("copy.dcm"))


def bytes_of(dataset: Dataset, name: str) -> bytes:
    return bytes(dataset.get_item(name).value or b"")


def test_names_in_several_alphabets_stay_the_bytes_that_they_are(tmp_path):
    path = write(tmp_path / "xray.dcm")
    dataset = pydicom.dcmread(path)
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.PatientName = KANJI
    dataset.save_as(path)
    target = copied(path)
    expected = bytes_of(pydicom.dcmread(path), "PatientName")
    assert b"\x1b$B" in expected, "the escape sequence of Kanji"
    assert bytes_of(target, "PatientName") == expected
    assert target.PatientName == KANJI


def test_texts_that_the_standard_does_not_allow_stay_as_they_are(tmp_path):
    values = {
        "PatientName": ("PN", b"M\xfcller^J\xf6rg "),  # in a character set that the file does not name
        "PatientBirthDate": ("DA", b"1.4.1970"),
        "PatientSex": ("CS", b"w "),
        "PatientAge": ("AS", b"56"),
        "PatientWeight": ("DS", b"71,5"),
        "StudyTime": ("TM", b"noon"),
    }
    path = write(tmp_path / "xray.dcm")
    dataset = pydicom.dcmread(path)
    for name, (kind, value) in values.items():
        dataset[name] = raw_element(name, kind, value)
    dataset.save_as(path)
    target = copied(path)
    assert {name: bytes_of(target, name) for name in values} == {name: value for name, (_, value) in values.items()}


def test_what_an_image_does_not_say_is_not_invented(tmp_path):
    path = change(write(tmp_path / "xray.dcm"), PatientName=None, PatientID=None)
    target = copied(path)
    assert {element.keyword for element in target} == {"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"}


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian], ids=lambda syntax: syntax.name)
def test_values_are_the_same_whatever_the_encoding(tmp_path, syntax):
    path = write(tmp_path / "xray.dcm")
    read = pydicom.dcmread(path)
    dataset = Dataset()  # one that was read cannot be written in another byte order
    dataset.update({element.tag: element for element in read if element.keyword != "PixelData"})
    dataset.PregnancyStatus = 4
    dataset.PatientComments = "tall"
    dataset.OtherPatientIDsSequence = [Dataset()]
    dataset.OtherPatientIDsSequence[0].PatientID = "P77"
    dataset.file_meta = read.file_meta
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    target = copied(path)
    assert (target.PregnancyStatus, target.PatientComments) == (4, "tall")
    assert target.OtherPatientIDsSequence[0].PatientID == "P77"


def test_the_modules_are_those_that_highdicom_knows(tmp_path):
    """Its own copying is the oracle: it has the attributes of these modules from the standard."""
    path = write(tmp_path / "xray.dcm")
    dataset = pydicom.dcmread(path)
    texts = {"DA": "20260102", "TM": "1200", "UI": "1.2", "LO": "x", "SH": "x", "PN": "x", "LT": "x", "SQ": []}
    for kind, _, _, retired, keyword in pydicom.datadict.DicomDictionary.values():
        if not retired and kind in texts and keyword not in dataset and Tag(keyword).group > 4:
            setattr(dataset, keyword, texts[kind])
    dataset.save_as(path)
    oracle = SOPClass("1.2", "1.3", 1, "1.4", dataset.SOPClassUID, 1, "OT")
    known = set(oracle.keys())
    oracle.copy_patient_and_study_information(pydicom.dcmread(path, stop_before_pixels=True))
    expected = {element.keyword for element in oracle if element.tag not in known}
    got = {element.keyword for element in copied(path)}
    assert len(expected) > 70
    assert expected <= got
    others = {name for name in got - expected if not name.startswith(("Patient", "Clinical"))}
    assert not others & {"SeriesDescription", "BodyPartExamined", "ProtocolName", "ClinicalTrialSeriesID"}


def test_all_becomes_utf_8_if_a_new_text_needs_it(tmp_path):
    path = write(tmp_path / "xray.dcm")
    dataset = pydicom.dcmread(path)
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.PatientName = KANJI
    dataset.OtherPatientIDsSequence = [Dataset()]
    dataset.OtherPatientIDsSequence[0].IssuerOfPatientID = "病院"
    dataset["PatientAge"] = raw_element("PatientAge", "AS", b"56")
    dataset.save_as(path)
    assert copied(path, SeriesDescription="plain").SpecificCharacterSet == ["", "ISO 2022 IR 87"]
    target = copied(path, SeriesDescription="肺炎")
    assert target.SpecificCharacterSet == "ISO_IR 192"
    assert bytes_of(target, "PatientName").rstrip() == KANJI.encode()
    assert (target.PatientName, target.SeriesDescription) == (KANJI, "肺炎")
    assert target.OtherPatientIDsSequence[0].IssuerOfPatientID == "病院"
    assert bytes_of(target, "PatientAge") == b"56"


def test_what_is_damaged_is_refused_without_its_value(tmp_path):
    path = write(tmp_path / "xray.dcm")
    dataset = pydicom.dcmread(path)
    dataset["PregnancyStatus"] = raw_element("PregnancyStatus", "US", b"Secret")
    dataset["OtherPatientIDsSequence"] = raw_element("OtherPatientIDsSequence", "SQ", b"Secret")
    dataset.save_as(path)
    with pytest.raises(
        RefusedImage, match="what its header says of the patient and the study cannot be copied"
    ) as told:
        copied(path)
    assert "Secret" not in str(told.value)
