"""The studies of a listener: their files and what the journal says of them change together."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dwskd_monai.listening.folders import OWNER_ONLY, Folders
from dwskd_monai.listening.journal import Attempt, Journal, State

_logger = logging.getLogger(__name__)


class StoreFullError(Exception):
    """There is no room for another study."""


@dataclass(frozen=True)
class ImageName:
    """An image that came: digests of its UIDs and of its data set."""

    study: str
    series: str
    instance: str
    content: str


class Store:
    """All studies that are here. Several threads may use it.

    Args:
        root: folder for the files and the journal.
        most: studies that may be here at a time, apart from refused ones, of which there may be as many again.
        keep: seconds for which the images of an answered study stay, in case more of them come.

    Raises:
        OSError: if the folder cannot be written to.
        ValueError: if another listener uses it.
    """

    def __init__(self, root: Path, most: int, keep: float) -> None:
        self.most = most
        self.keep = keep
        try:
            root.mkdir(OWNER_ONLY, parents=True, exist_ok=True)
            self.journal = Journal(root / "journal.sqlite")  # before any file is touched: it finds out another listener
            self.folders = Folders(root)
        except OSError as error:
            reason = f"{error.strerror}: {error.filename}"
            raise OSError(f"--folder {root}: expected a folder that can be written to ({reason})") from error
        self._lock = threading.RLock()
        self._never_taken: dict[str, str] = {}  # studies with an answer that the destination will not take, and why
        self._tidy()

    def _tidy(self) -> None:
        """Put in order what a killed process left between two steps."""
        here = self.journal.here()
        for study in list(self.folders.studies()):
            if study not in here:
                self.folders.remove(study)  # its image was never confirmed, so its sender has it still
            elif here[study] is not State.REFUSED:
                self.folders.reopen(study)  # the folder was moved, and the journal does not say so yet
            elif self.folders.study(study).exists():  # the reverse
                self.folders.refuse(study, "put aside when the listener ended; its log says why")

    # Receiving

    def take(self, file: Path, image: ImageName) -> bool:
        """Keep an image durably.

        An image that came before is not kept again, and does not change what was answered. It replaces the earlier one
        if that was not answered yet.

        Args:
            file: of the image; it is moved.
            image: what it is.

        Returns:
            Whether its study now waits to be classified.

        Raises:
            StoreFullError: if it belongs to a new study, and there is no room for one.
            OSError: if it cannot be written.
        """
        with file.open("rb") as written:
            os.fsync(written.fileno())
        with self._lock:
            state = self.journal.state(image.study)
            content = self.journal.content(image.study, image.instance)
            if content is not None and state in (State.CLASSIFIED, State.SENT):
                if content != image.content:
                    _logger.warning("study %s: an image came again with other content; it is not used", image.study)
                return False
            if content != image.content or state is not State.RECEIVED:
                self._make_room(image.study)
                self.folders.take(file, image.study, image.series, image.instance)
                self.journal.received(image.study, image.instance, image.content)
        return True

    def _make_room(self, study: str) -> None:
        here = {name: state for name, state in self.journal.here().items() if state is not State.REFUSED}
        if study in here or len(here) < self.most:
            return
        answered = next((name for name, state in here.items() if state is State.SENT), None)
        if answered is not None:
            self._remove(answered)
            return
        classified = [name for name, state in here.items() if state is State.CLASSIFIED]
        never_taken = next((name for name in classified if name in self._never_taken), None)
        if never_taken is None:
            raise StoreFullError(f"{len(here)} studies wait, as many as --max_studies allows")
        self._give_up(never_taken)
        self._remove_refused(but_not=study)

    def _give_up(self, study: str) -> None:
        """Put a study aside that would stand in the way of others for ever."""
        reason = f"not taken: {self._never_taken.pop(study)}"
        _logger.error("study %s: put aside, to make room (%s)", study, reason)
        self.journal.given_up(study)
        self.folders.refuse(study, reason)

    # Classifying

    def begin(self, study: str) -> Attempt | None:
        """Note that a study is about to be classified; returns None if it does not wait for that."""
        with self._lock:
            attempt = self.journal.begin(study)
            if attempt is not None:
                self.folders.reopen(study)  # it was being refused, and the journal could not be written
            return attempt

    def answer(self, study: str, attempt: Attempt, answers: Mapping[str, bytes]) -> bool:
        """Keep the answers of a study durably, by their instances.

        Returns:
            False if an image came since the attempt began.

        Raises:
            OSError: if they cannot be written.
        """
        with self._lock:
            if not self.journal.is_current(study, attempt):
                return False
            self.folders.write_answers(study, answers)
            self._never_taken.pop(study, None)
            return self.journal.classified(study, attempt, list(answers))

    def refuse(self, study: str, attempt: Attempt, reason: str) -> bool:
        """Put a study aside; returns False if an image came since the attempt began."""
        with self._lock:
            if not self.journal.is_current(study, attempt):
                return False
            self.folders.refuse(study, reason)
            self.journal.refused(study, attempt)
            self._remove_refused()
        return True

    # Sending

    def begin_to_send(self, study: str) -> None:
        """Note that the answers of a study are being sent, so that it is not given up meanwhile."""
        with self._lock:
            self._never_taken.pop(study, None)

    def never_taken(self, study: str, reason: str) -> None:
        """Note that the destination has all answers of a study but those of a kind that it will not take."""
        with self._lock:
            if self.journal.state(study) is State.CLASSIFIED:
                self._never_taken[study] = reason

    # Removing

    def _remove_refused(self, but_not: str | None = None) -> None:
        for old in self.journal.in_state(State.REFUSED)[: -self.most]:
            if old != but_not:
                self._remove(old)

    def remove_old(self) -> None:
        """Remove the files of studies that were answered long enough ago, and what broken connections left."""
        with self._lock:
            for study in self.journal.in_state(State.SENT):
                age = time.time() - self.journal.since(study)
                if not 0 <= age < self.keep:  # less than 0: the clock was put back, and tells nothing
                    self._remove(study)
        self.folders.remove_abandoned()

    def _remove(self, study: str) -> None:
        self.journal.removed(study)
        self.folders.remove(study)
        _logger.info("study %s: its files were removed", study)

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()
