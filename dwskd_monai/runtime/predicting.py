"""Predictions of many studies by an exported classifier, in the same files as those of a bundle's inference."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dwskd_monai.data.images import list_images
from dwskd_monai.data.refused import RefusedImages
from dwskd_monai.evaluation.planes import UNKNOWN
from dwskd_monai.evaluation.prediction_files import PredictionFiles
from dwskd_monai.folders import require_writable
from dwskd_monai.reading.refusal import RefusedImage
from dwskd_monai.runtime.classifier import Answer, Classifier

_Items = list[tuple[int, Mapping[str, str]]]  # with their ranks


class Answers(Protocol):
    """What takes the answers of a run, study by study."""

    def add(self, study: str, images: Sequence[Path], answer: Answer) -> None:
        """Take what is said of a study, and the files or folders of its images."""

    def finish(self) -> None:
        """Called after the last study."""


def predict_studies(
    classifier: Classifier,
    dataset_dir: str | Path,
    output_dir: str | Path,
    abstain: bool = False,
    strict: bool = False,
    ignored_columns: Collection[str] = (),
    answers: Answers | None = None,
) -> None:
    """Write the files that inference writes: predictions, those of slices, and images that were refused.

    Args:
        classifier: the exported classifier.
        dataset_dir: an image, a folder of images, the folder of a DICOM series, or a CSV or JSON datalist.
        output_dir: folder for the files.
        abstain: whether the predicted class of a study that is unlike the training images is left empty.
        strict: whether the first image that cannot be used ends the run.
        ignored_columns: columns of a datalist to ignore.
        answers: takes each study's answer too, with its deciding slice.

    Raises:
        FileNotFoundError, ValueError: if something is wrong with the source, or nothing was predicted.
        UnusableFolderError: if the folder for the files is a file, or cannot be written to.
        RefusedImagesError: at the end, if images were refused and all others predicted.
    """
    require_writable("out", output_dir)
    metadata = classifier.metadata
    refused = RefusedImages(Path(output_dir) / "refused.csv", strict)
    refused.begin()
    items = list_images(dataset_dir, metadata["settings"]["dicom_series"], ignored_columns, refused, "studies")
    files = PredictionFiles(
        output_dir,
        metadata["classes"],
        classifier.aggregation,
        metadata["weights_sha256"],
        refused,
        metadata["reading"]["expectation"]["accept"],
        metadata["planes"],
        classifier.evidence,
        abstain,
    )
    for rank, (study, images) in enumerate(_by_study(items).items()):
        said = _answers(classifier, study, images, refused, answers is not None)
        _add(files, study, rank, said)
        if answers is not None and said:
            paths = [Path(item["image"]) for _, item in images]
            answers.add(study, paths, classifier.combined([answer for answer, _ in said]))
    files.finish()
    if answers is not None:
        answers.finish()
    refused.finish()


def _by_study(items: Sequence[Mapping[str, str]]) -> dict[str, _Items]:
    studies: dict[str, _Items] = {}
    for rank, item in enumerate(items):
        studies.setdefault(item["study"], []).append((rank, item))
    return studies


def _answers(
    classifier: Classifier, study: str, images: _Items, refused: RefusedImages, deciding: bool
) -> list[tuple[Answer, str]]:
    """What is said of each image of a study, and its plane; nothing if one of them cannot be used."""
    answers = []
    used: _Items = []
    for rank, item in images:
        try:
            image = classifier.read(item["image"])
            answers.append((classifier.answer(image, item["image"], deciding), image.plane or UNKNOWN))
            used.append((rank, item))
        except (RefusedImage, OSError) as error:
            refused.add(error, item, rank)
    if len(used) == len(images):
        return answers
    refused.add_companions(study, used)
    return []


def _add(files: PredictionFiles, study: str, rank: int, answers: Sequence[tuple[Answer, str]]) -> None:
    count = sum(len(answer.slices) for answer, _ in answers)
    index = 0
    for answer, plane in answers:
        scores: Sequence[Any] = [None] * len(answer.slices)
        if answer.slice_novelty is not None:
            scores = answer.slice_novelty.tolist()
        for probabilities, score in zip(answer.slices.astype(np.float64), scores, strict=True):
            files.add(study, index, count, probabilities, None, plane, rank, score)
            index += 1
