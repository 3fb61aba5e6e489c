"""The picture as a Secondary Capture, for archives and viewers that show no reports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from highdicom.sc import SCImage
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from dwskd_monai.dicom_out.said import Said
from dwskd_monai.dicom_out.series import Series, attributes_of
from dwskd_monai.dicom_out.sources import Source


def capture(pixels: NDArray[np.uint8], said: Said, sources: Sequence[Source], series: Series) -> Dataset:
    """The picture of a study, without what is copied from its images.

    Args:
        pixels: ``(rows, columns, 3)``.
        said: what is said of the study.
        sources: its DICOM files.
        series: identifiers of the picture.
    """
    image = SCImage(
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),  # which highdicom demands; removed below
        study_instance_uid=series.study,
        **attributes_of(series, said),
    )
    image.PatientOrientation = None  # a page has none
    image.Laterality = None
    image.ConversionType = "WSD"  # drawn by a program
    image.BurnedInAnnotation = "NO"  # nothing on it tells who the patient is
    image.DerivationDescription = "Answer of a classifier, with a heat map of the deciding slice. Research only."
    image.SourceImageSequence = [_reference(source) for source in sources]
    if any(source.is_lossy for source in sources):  # what was lost is lost here too
        image.LossyImageCompression = "01"
    return image


def _reference(source: Source) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = source.storage
    item.ReferencedSOPInstanceUID = source.instance
    item.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)]
    return item
