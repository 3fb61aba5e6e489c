"""What a report has from the images that it is about: the patient and the study, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from dwskd_monai.reading.formats import has_preamble
from dwskd_monai.reading.refusal import refusing

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
_TEXTS = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT")
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
    If ``target`` has texts that are not ASCII, all of its texts become UTF-8. highdicom copies decoded values, and
    fails over one that the standard does not allow.

    Args:
        header: all attributes of a source.
        target: a report or picture without texts of the source.
        path: of the source, for messages.

    Raises:
        RefusedImage: if a sequence is damaged, or a text cannot become UTF-8.
    """
    to_utf_8 = not _is_ascii(target)
    what = "what its header says of the patient and the study cannot be copied"
    with refusing(path, what), pydicom.config.disable_value_validation():
        for tag in filter(_is_copied, list(header.keys())):
            raw = header.get_item(tag)
            kind = raw.VR if raw.VR not in (None, "UN") else dictionary_VR(tag)
            if isinstance(raw, RawDataElement) and kind in _TEXTS and not to_utf_8:
                target[tag] = raw._replace(VR=kind, value=raw.value or b"", is_implicit_VR=False)
            else:
                target[tag] = header[tag]
        if to_utf_8:
            target.SpecificCharacterSet = _UTF_8
        elif _CHARSET in header:
            target[_CHARSET] = header[_CHARSET]


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
