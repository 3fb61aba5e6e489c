"""When a study is complete: nothing in DICOM says so, but no more of its images come for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class QuietTime:
    """Studies in the order in which they become complete. Several threads may use it.

    Times are those of this process: a change of the clock makes no study complete, and after a restart each study waits
    again, since its sender may be about to send the rest.

    Args:
        seconds: without an image, after which a study is complete.
        clock: for tests.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._heard: dict[str, float] = {}  # when the last image came; in this order
        self._taken: set[str] = set()
        self._changed = threading.Condition()
        self._ended = False

    def hear(self, study: str) -> None:
        """An image of a study came."""
        with self._changed:
            self._heard.pop(study, None)
            self._heard[study] = self._clock()
            self._changed.notify_all()

    def end(self) -> None:
        """Let :meth:`next` return None, now and later."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def next(self) -> str | None:
        """Wait for a study to be complete, and return it once; None: it was ended.

        Until :meth:`release` is called, it is not returned again, even if more of its images come.
        """
        with self._changed:
            while not self._ended:
                study = next((study for study in self._heard if study not in self._taken), None)
                left = None if study is None else self._heard[study] + self.seconds - self._clock()
                if study is not None and left is not None and left <= 0:
                    del self._heard[study]
                    self._taken.add(study)
                    return study
                self._changed.wait(left)
        return None

    def release(self, study: str) -> None:
        """A study that :meth:`next` returned is finished with."""
        with self._changed:
            self._taken.discard(study)
            self._changed.notify_all()
