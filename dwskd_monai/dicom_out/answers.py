"""The report and the picture of one study."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from dwskd_monai.dicom_out.said import said_of
from dwskd_monai.dicom_out.sources import read_sources, source_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from dwskd_monai.runtime.classifier import Answer, Classifier


HIGHDICOM = "highdicom==0.28.2"  # the tested version; another may write reports otherwise


def require_highdicom() -> None:
    """Raise ModuleNotFoundError if the library that makes reports is not installed."""
    if find_spec("highdicom") is None:
        raise ModuleNotFoundError(
            f"to write answers as DICOM, highdicom must be installed: pip install {HIGHDICOM}", name="highdicom"
        )


def answer_datasets(
    classifier: Classifier, answer: Answer, sources: Sequence[Path], abstain: bool = False
) -> list[Dataset]:
    """A Structured Report and a Secondary Capture of what is said of a study, in new series of this study.

    Their identifiers depend on those of the sources and on the classifier's file alone, so that making them again gives
    no duplicates; only the times differ.

    Args:
        classifier: the exported classifier.
        answer: its answer, with the deciding slice: ``classifier.answer(image, path, deciding=True)``.
        sources: the DICOM files that were judged, all of one study.
        abstain: whether nothing is said of the class of a study that is unlike the training images.

    Raises:
        RefusedImage: if nothing can refer to a source, since it lacks an identifier, or if it cannot be read.
        ValueError: if the answer has no deciding slice.
        ModuleNotFoundError: if highdicom is not installed.
    """
    require_highdicom()
    if answer.deciding is None:
        raise ValueError("answer: expected one with its deciding slice; call Classifier.answer with deciding=True")
    files = read_sources(sources)
    # imported here, so that a program that writes no DICOM does not wait for highdicom
    from dwskd_monai.dicom_out.capture import capture
    from dwskd_monai.dicom_out.modules import copy_patient_and_study, read_whole_header
    from dwskd_monai.dicom_out.page import draw
    from dwskd_monai.dicom_out.report import report
    from dwskd_monai.dicom_out.series import picture_series, report_series
    from dwskd_monai.runtime.occlusion import occlusion_map

    said = said_of(classifier, answer, abstain)
    deciding = source_of(files, answer.deciding)
    heat = occlusion_map(classifier, answer.deciding, int(answer.probabilities.argmax()))
    page = draw(said, answer.deciding, heat)
    datasets = [
        report(said, classifier.metadata["class_codes"], files, deciding, report_series(said, files)),
        capture(page, said, files, picture_series(said, files)),
    ]
    first = files[0].path
    for dataset in datasets:
        copy_patient_and_study(read_whole_header(first), dataset, first)
    return datasets
