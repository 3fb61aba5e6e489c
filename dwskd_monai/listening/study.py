"""What is said of a study: one answer to all of its images, as in an evaluation."""

from __future__ import annotations

import logging
from pathlib import Path

from pydicom.dataset import Dataset

from dwskd_monai.dicom_out import answer_datasets
from dwskd_monai.dicom_out.sources import dicom_files
from dwskd_monai.listening.classifying import RefusedStudyError
from dwskd_monai.reading.find import find_images
from dwskd_monai.reading.refusal import ASIDE, RefusedImage, shortened
from dwskd_monai.runtime.classifier import Classifier

_LEFT_OUT = ("unexpected", "format")  # kinds of refusal: images that the classifier is not for, such as a lateral view
_logger = logging.getLogger(__name__)


def answer_study(classifier: Classifier, abstain: bool, folder: Path) -> list[Dataset]:
    """The answers to a study: a report and a picture.

    Images that the classifier is not for are left out: a lateral view, a localizer in a series of its own. If any other
    image cannot be used, the study is not answered, since an answer to the others would look like one to all.

    Args:
        classifier: what answers.
        abstain: whether nothing is said of the class of a study that is unlike the training images.
        folder: with a folder for each series.

    Raises:
        RefusedStudyError: if an image is damaged or contradicts itself, or none can be used.
    """
    images, others = find_images(folder, classifier.metadata["settings"]["dicom_series"])
    refusals = [refusal for refusal in others if refusal.kind != ASIDE]
    answers = []
    sources: list[Path] = []
    for path in images:
        try:
            answers.append(classifier.answer(classifier.read(path), path, deciding=True))
            sources += dicom_files(path)
        except RefusedImage as refusal:
            refusals.append(refusal)
    _refuse(refusals, bool(answers), folder)
    try:
        return answer_datasets(classifier, classifier.combined(answers), sources, abstain)
    except RefusedImage as refusal:
        raise RefusedStudyError(_reason(refusal, folder)) from refusal


def _refuse(refusals: list[RefusedImage], is_some_used: bool, folder: Path) -> None:
    """Refuse a study if its other images must not be answered alone, and say what is left out otherwise."""
    bad = [refusal for refusal in refusals if refusal.kind not in _LEFT_OUT]
    if bad or not is_some_used:
        raise RefusedStudyError("\n".join(_reason(refusal, folder) for refusal in bad or refusals) or "no image")
    if refusals:
        shown = shortened([_reason(refusal, folder) for refusal in refusals], "; ")
        _logger.info("study %s: left out: %s", folder.name, shown)


def _reason(refusal: RefusedImage, folder: Path) -> str:
    path = refusal.path.relative_to(folder) if refusal.path.is_relative_to(folder) else refusal.path
    return f"{path.as_posix()}: {refusal.reason}"
