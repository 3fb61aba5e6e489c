"""Answers studies when they are complete."""

from __future__ import annotations

import io
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from pydicom.dataset import Dataset

from dwskd_monai.listening.counters import Counters
from dwskd_monai.listening.errors import placed
from dwskd_monai.listening.journal import Attempt, digest_of
from dwskd_monai.listening.quiet import QuietTime
from dwskd_monai.listening.store import Store

MOST_ATTEMPTS = 5  # of one study that ends the process each time
_PAUSE = 1.0  # seconds after an error of the disk
_MOST_LETTERS = 64  # of SeriesDescription
_REPLACES = " (replaces earlier)"
_logger = logging.getLogger(__name__)

Answering = Callable[[Path], Sequence[Dataset]]


class RefusedStudyError(ValueError):
    """A study that is not answered; the message says why, and nothing of a patient."""


class Classifying:
    """Answer complete studies.

    Args:
        store: where they are.
        quiet: tells when one is complete.
        answer: from the folder of a study to its answers.
        counters: what is counted.
        answered: called when there is something to send.
    """

    def __init__(
        self, store: Store, quiet: QuietTime, answer: Answering, counters: Counters, answered: Callable[[], None]
    ) -> None:
        self._store = store
        self._quiet = quiet
        self._answer = answer
        self._counters = counters
        self._answered = answered
        self._suspects = threading.Lock()

    def run(self) -> None:
        """Answer one study after the other until the quiet time is ended; several threads may do this."""
        while (study := self._quiet.next()) is not None:
            try:
                with self._counters.classification.time():
                    self.classify(study)
            except (OSError, sqlite3.Error) as error:  # of the disk, not of the images: it may pass
                _logger.error("study %s: %s; it is tried again", study, placed(error))
                time.sleep(_PAUSE)
                self._quiet.hear(study)
            finally:
                self._quiet.release(study)

    def classify(self, study: str) -> None:
        """Answer a study, or put it aside with the reason.

        Raises:
            OSError, sqlite3.Error: if the disk does not take what is to be written.
        """
        # Several studies may have been with workers when the process ended. They are classified one at a time, so that
        # the one that ends it the next time is known.
        with self._suspects if self._store.journal.was_interrupted(study) else nullcontext():
            attempt = self._store.begin(study)
            if attempt is None:  # it was answered, and then its sender sent an image again
                return
            try:
                taken = self._answer_or_refuse(study, attempt)
            except (OSError, sqlite3.Error):
                self._store.journal.put_off(study)
                raise
        if not taken:
            _logger.info("study %s: more images came; it is classified again", study)

    def _answer_or_refuse(self, study: str, attempt: Attempt) -> bool:
        """Returns False if an image came since the attempt began."""
        try:
            self._check(attempt)
            answers = self._answers(study)
            taken = self._store.answer(study, attempt, answers)
        except RefusedStudyError as error:
            return self._refuse(study, attempt, str(error))
        except (OSError, sqlite3.Error):
            raise
        except Exception as error:  # any other study can still be answered
            return self._refuse(study, attempt, f"an unexpected error, {placed(error)}")
        if taken:
            _logger.info("study %s: %d images, %d answers", study, attempt.images, len(answers))
            self._answered()
        return taken

    def _check(self, attempt: Attempt) -> None:
        if attempt.number > MOST_ATTEMPTS:
            raise RefusedStudyError(f"the process ended {MOST_ATTEMPTS} times while it classified this study")
        if attempt.images < attempt.most:
            reason = f"{attempt.images} of its images are here, but {attempt.most} were before their files were removed"
            raise RefusedStudyError(f"{reason}; send all of them again")

    def _answers(self, study: str) -> dict[str, bytes]:
        """The files of the answers of a study, by their instances."""
        folder = self._store.folders.study(study)
        datasets = {digest_of(dataset.SOPInstanceUID): dataset for dataset in self._answer(folder)}
        replaces = bool(self._store.journal.begun_answers(study) - set(datasets))
        files = {}
        for instance, dataset in datasets.items():
            if digest_of(dataset.StudyInstanceUID) != study:
                raise RuntimeError("an answer that is not of this study")
            if replaces:
                dataset.SeriesDescription = as_replacement(str(dataset.get("SeriesDescription", "")))
            content = io.BytesIO()
            dataset.save_as(content, enforce_file_format=True)
            files[instance] = content.getvalue()
        return files

    def _refuse(self, study: str, attempt: Attempt, reason: str) -> bool:
        taken = self._store.refuse(study, attempt, reason)
        if taken:
            self._counters.refused.inc()
            _logger.warning("study %s is refused: %s", study, reason.replace("\n", "; "))
        return taken


def as_replacement(description: str) -> str:
    """The description of a series that replaces an earlier one; if it is too long, its title is cut, and not its end.

    Examples:
        >>> as_replacement("Chest X-ray classification by DWS-SKD, report, research only")
        'Chest X-ray classifica, report, research only (replaces earlier)'
    """
    title, *end = description.rsplit(", ", 2)
    rest = ", ".join(["", *end]) + _REPLACES
    return title[: _MOST_LETTERS - len(rest)] + rest
