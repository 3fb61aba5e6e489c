"""What a report has from the images that it is about: the patient and the study, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from dwskd_monai.reading.formats import has_preamble
from dwskd_monai.reading.refusal import RefusedImage, refusing

_PATIENT = 0x0010  # the group of the patient's attributes
_TRIAL = 0x0012  # of a clinical trial, and of how the patient's identity was removed
_OF_TRIAL_SERIES = ("ClinicalTrialCoordinatingCenterName", "ClinicalTrialSeriesID", "ClinicalTrialSeriesDescription")
_STUDY = (
    "ReferencedPatientSequence", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "IssuerOfAccessionNumberSequence", "ReferringPhysicianName", "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName", "ConsultingPhysicianIdentificationSequence", "StudyDescription",
    "ProcedureCodeSequence", "PhysiciansOfRecord", "PhysiciansOfRecordIdentificationSequence",
    "NameOfPhysiciansReadingStudy", "PhysiciansReadingStudyIdentificationSequence", "ReferencedStudySequence",
    "RequestingService", "RequestingServiceCodeSequence", "ReasonForPerformedProcedureCodeSequence",
    "AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence", "ReasonForVisit", "ReasonForVisitCodeSequence",
    "AdmissionID", "IssuerOfAdmissionIDSequence", "ServiceEpisodeID", "ServiceEpisodeDescription",
    "IssuerOfServiceEpisodeIDSequence", "PatientState",
)  # fmt: skip
_ENCODED = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")  # texts in the character set of the file
_TEXTS = (*_ENCODED, "AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR")
_CHARSET = BaseTag(0x00080005)
_UTF_8 = "ISO_IR 192"


def read_whole_header(path: Path) -> Dataset:
    """All attributes of a file but its pixels, not decoded.

    Raises:
        RefusedImage: if it is damaged.
    """
    with refusing(path, "a damaged DICOM file, its header cannot be read"):
        return pydicom.dcmread(path, stop_before_pixels=True, force=not has_preamble(path))


def copy_patient_and_study(header: Dataset, target: Dataset, path: Path) -> None:
    """Copy the modules Patient, General Study, Patient Study, and those of a clinical trial.

    Texts stay the bytes that they are, in the character set of the source: names that it cannot decode are copied, too.
    Only if ``target`` has texts that are not ASCII, all of its texts become UTF-8. highdicom copies decoded values, and
    fails over one that the standard does not allow.

    Args:
        header: all attributes of a source.
        target: a report or picture without texts of the source.
        path: of the source, for messages.

    Raises:
        RefusedImage: if a value that is not a text is damaged.
    """
    to_utf_8 = not _is_ascii(target)
    try:
        for tag in filter(_is_copied, list(header.keys())):
            target[tag] = _copied(header, tag, to_utf_8)
    except Exception as error:  # of any type, over damaged bytes; its text may have what must not be told
        reason = f"what its header says of the patient and the study cannot be copied ({type(error).__name__})"
        raise RefusedImage(path, reason, "header") from error
    if to_utf_8:
        target.SpecificCharacterSet = _UTF_8
    elif _CHARSET in header:
        target[_CHARSET] = header[_CHARSET]


def _copied(header: Dataset, tag: BaseTag, to_utf_8: bool) -> DataElement | RawDataElement:
    """An attribute, as raw bytes if it is a text."""
    raw = header.get_item(tag)
    kind = raw.VR if raw.VR not in (None, "UN") else dictionary_VR(tag)
    if not isinstance(raw, RawDataElement) or kind not in _TEXTS:
        element = header[tag]
        if to_utf_8 and element.VR == "SQ":
            for item in element.value:
                item.decode()
        return element
    value = raw.value or b""
    if to_utf_8 and kind in _ENCODED:
        encodings = convert_encodings(header.get("SpecificCharacterSet") or "")
        value = decode_bytes(value, encodings, PN_DELIMS if kind == "PN" else TEXT_VR_DELIMS).encode()
        value += b" " * (len(value) % 2)
    return raw._replace(VR=kind, value=value, length=len(value), is_implicit_VR=False)


def _is_copied(tag: BaseTag) -> bool:
    if not dictionary_has_tag(tag):
        return False
    if tag.group == _TRIAL:
        return tag not in _tags(_OF_TRIAL_SERIES)
    return tag.group == _PATIENT or tag in _tags(_STUDY)


def _tags(names: tuple[str, ...]) -> set[int | None]:
    return {tag_for_keyword(name) for name in names}


def _is_ascii(dataset: Dataset) -> bool:
    return all(str(element.value).isascii() for element in dataset.iterall() if element.VR in _TEXTS)
