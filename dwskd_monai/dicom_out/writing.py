"""The reports and pictures of a run, as files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.dicom_out.answers import answer_datasets, require_highdicom
from dwskd_monai.dicom_out.sources import dicom_files
from dwskd_monai.files import replacing
from dwskd_monai.folders import require_writable
from dwskd_monai.reading.refusal import RefusedImage

if TYPE_CHECKING:
    from dwskd_monai.runtime.classifier import Answer, Classifier

_logger = logging.getLogger(__name__)


class RefusedAnswersError(ValueError):
    """Studies have no answer as DICOM, and all others have one; the exit code of a command is then 3."""

    exit_code = 3


class DicomAnswers:
    """Writes the report and the picture of each study into a folder: ``SR.<SOPInstanceUID>.dcm`` and ``OT.…``.

    Args:
        classifier: the exported classifier.
        folder: for the files.
        studies: where the images are.
        abstain: as :func:`~dwskd_monai.dicom_out.answers.answer_datasets` takes it.

    Raises:
        ModuleNotFoundError: if highdicom is not installed.
        UnusableFolderError: if the folder is a file, or cannot be written to.
        ValueError: if it is one of those in which images are looked for.
    """

    def __init__(self, classifier: Classifier, folder: str | Path, studies: str | Path, abstain: bool = False) -> None:
        require_highdicom()
        require_writable("dicom_out", folder)
        self.folder = Path(folder)
        if Path(studies).is_dir() and self.folder.resolve().is_relative_to(Path(studies).resolve()):
            raise ValueError(f"dicom_out: {folder} is in {studies}, where images are looked for; give another folder")
        self._classifier = classifier
        self._abstain = abstain
        self._written: dict[str, tuple[str, NDArray[np.float32]]] = {}  # study, probabilities; by the UID of the report
        self._refused = 0
        self._not_dicom = 0

    def add(self, study: str, images: Sequence[Path], answer: Answer) -> None:
        """Write what is said of a study; if it cannot be, or would replace what is said of another, the log says why.

        Args:
            study: its name.
            images: the files or folders of its images.
            answer: with the deciding slice.
        """
        files = [dicom_files(image) for image in images]
        if not all(files):
            self._not_dicom += 1
            return
        try:
            datasets = answer_datasets(self._classifier, answer, [path for of in files for path in of], self._abstain)
        except RefusedImage as refusal:
            self._refused += 1
            _logger.warning("no DICOM answer for %s: %s", study, refusal.reason)
            return
        first, probabilities = self._written.setdefault(datasets[0].SOPInstanceUID, (study, answer.probabilities))
        if not np.array_equal(probabilities, answer.probabilities):
            self._refused += 1
            _logger.warning("no DICOM answer for %s: its images have the identifiers of those of %s", study, first)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for dataset in datasets:
            with replacing(self.folder / f"{dataset.Modality}.{dataset.SOPInstanceUID}.dcm") as temporary:
                dataset.save_as(temporary, enforce_file_format=True)

    def finish(self) -> None:
        """Log how many studies have a report, and how many cannot have one."""
        if self._not_dicom:
            what = "study is not DICOM, so it has" if self._not_dicom == 1 else "studies are not DICOM, so they have"
            _logger.warning("%d %s no DICOM answer", self._not_dicom, what)
        if self._written:
            _logger.info("%d DICOM reports and pictures written to %s", len(self._written), self.folder)

    def require_all(self) -> None:
        """Raise RefusedAnswersError if nothing can refer to the images of a DICOM study."""
        if self._refused:
            what = "study has" if self._refused == 1 else "studies have"
            raise RefusedAnswersError(f"{self._refused} {what} no DICOM answer; the log says why")
