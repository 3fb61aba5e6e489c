"""The study in a packed bundle, without what a DICOM header says about a patient."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import generate_uid

from dwskd_monai.reading.formats import files_of_series, is_dicom

# All attributes that are kept: pixels, their meaning and their geometry. Anything else in a header may identify
# somebody: names and dates, free text, private attributes, overlays.
_KEPT = """
    SOPClassUID Modality ImageType BodyPartExamined ViewPosition Laterality ImageLaterality PatientPosition
    PatientOrientation PresentationIntentType InstanceNumber
    Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation PlanarConfiguration BitsAllocated BitsStored
    HighBit PixelRepresentation PixelData FloatPixelData DoubleFloatPixelData PixelPaddingValue PixelPaddingRangeLimit
    LossyImageCompression BurnedInAnnotation
    RescaleSlope RescaleIntercept RescaleType WindowCenter WindowWidth VOILUTFunction PresentationLUTShape
    PixelIntensityRelationship PixelIntensityRelationshipSign ModalityLUTSequence VOILUTSequence LUTDescriptor LUTData
    ModalityLUTType
    PixelSpacing ImagerPixelSpacing SliceThickness SpacingBetweenSlices ImageOrientationPatient ImagePositionPatient
    SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence PixelMeasuresSequence PlaneOrientationSequence
    PlanePositionSequence PixelValueTransformationSequence FrameVOILUTSequence
"""
KEPT = frozenset(_KEPT.split())
_NAME = "sample"  # a file's own name may be that of a patient


def put_sample(sample: Path, folder: Path) -> None:
    """Copy a study into a folder under a neutral name; of DICOM files, only the attributes in ``_KEPT`` are copied.

    Args:
        sample: a file, or a folder with the files of one study.
        folder: to copy it into.

    Raises:
        FileNotFoundError: if there is no ``sample``.
        ValueError: if a DICOM file says that text is burned into its pixels.
    """
    if not sample.exists():
        raise FileNotFoundError(f"sample: {sample} does not exist; give one study, a file or the folder of a series")
    if sample.is_dir():
        (folder / _NAME).mkdir()
        files = sorted(path for path in sample.rglob("*") if path.is_file())
        series = set(files_of_series(sample))
        others = [path for path in files if path not in series]
        if series and others:
            raise ValueError(
                f"sample: {others[0]} among the DICOM files of a series; give a folder of the series alone"
            )
        targets = [folder / _NAME / f"{number:04d}{_suffix(path)}" for number, path in enumerate(files)]
    else:
        files = [sample]
        targets = [folder / f"{_NAME}{_suffix(sample)}"]
    study = hashlib.sha256(files[0].read_bytes()).hexdigest() if files else ""
    for path, target in zip(files, targets, strict=True):
        if is_dicom(path):
            _without_patient(path, study).save_as(target, enforce_file_format=True)
        else:
            shutil.copyfile(path, target)


def _suffix(path: Path) -> str:
    """The suffix, ``.nii.gz`` of ``j.doe.nii.gz``; DICOM files often have none, or the end of a UID."""
    if is_dicom(path):
        return ".dcm"
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def _without_patient(path: Path, study: str) -> Dataset:
    """The content of a DICOM file without what may identify the patient.

    Args:
        path: of the file.
        study: a text that is equal for the files of one study; new identifiers are made from it.
    """
    source = pydicom.dcmread(path)
    if str(source.get("BurnedInAnnotation", "")).upper() == "YES":
        raise ValueError(f"sample: {path} has text burned into its pixels (BurnedInAnnotation YES); give another study")
    kept = _kept(source)
    kept.PatientName = ""
    kept.PatientID = _NAME
    kept.PatientIdentityRemoved = "YES"
    kept.DeidentificationMethod = "only pixels, their meaning and their geometry were kept"
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(kept, name, generate_uid(entropy_srcs=[study, name]))
    own = hashlib.sha256(path.read_bytes()).hexdigest()
    kept.SOPInstanceUID = generate_uid(entropy_srcs=[study, own])
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = source.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID = source.SOPClassUID
    meta.MediaStorageSOPInstanceUID = kept.SOPInstanceUID
    kept.file_meta = meta
    return kept


def _kept(source: Dataset) -> Dataset:
    kept = Dataset()
    for element in source:
        if element.keyword not in KEPT:
            continue
        if element.VR == "SQ":
            setattr(kept, element.keyword, [_kept(item) for item in element.value])
        else:
            kept[element.tag] = element
    return kept
