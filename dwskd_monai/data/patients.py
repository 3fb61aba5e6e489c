"""Which patient an image belongs to, if the source does not say so."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dwskd_monai.data.sources import LabeledImage
from dwskd_monai.data.text import listed
from dwskd_monai.reading import RefusedImage, dicom

_logger = logging.getLogger(__name__)


def with_patients(
    images: Sequence[LabeledImage], dicom_patients: bool, folder_patients: bool, source: Path
) -> list[LabeledImage]:
    """The images with their patients: from the source, or else from their headers, or else from their folders.

    DICOM images without a patient in the header are kept together with those of the same study and series.

    Args:
        images: of a source.
        dicom_patients: whether headers are used.
        folder_patients: whether folders below those of the classes are used; the log names them.
        source: for the log.
    """
    known = [_with_patient(image, dicom_patients, folder_patients) for image in images]
    folders = {image.folder for image in known if image.folder is not None and image.patient == image.folder}
    if folders:
        _logger.info(
            "%s: %d folders below those of the classes are taken as patients (%s); set folder_patients: false if they "
            "are not", source, len(folders), listed(sorted(folders)),
        )  # fmt: skip
    return known


def of_header(path: Path) -> tuple[str | None, tuple[str, ...]]:
    """The patient of a DICOM header, or else its study and series; nothing for a file that reading will refuse."""
    try:
        patient = dicom.patient_of(path)
        return patient, () if patient is not None else dicom.series_of(path)
    except RefusedImage:
        return None, ()


def identities(path: Path) -> set[str]:
    """The patient, the study and the series of a DICOM header, as far as it tells; nothing for other files."""
    try:
        patient = dicom.patient_of(path)
        return {*dicom.series_of(path), *([] if patient is None else [f"patient {patient}"])}
    except (RefusedImage, OSError):
        return set()


def _with_patient(image: LabeledImage, dicom_patients: bool, folder_patients: bool) -> LabeledImage:
    if image.patient is not None:
        return image
    patient, ties = of_header(image.image) if dicom_patients else (None, ())
    if patient is None and folder_patients:
        patient = image.folder
    return replace(image, patient=patient, ties=ties)
