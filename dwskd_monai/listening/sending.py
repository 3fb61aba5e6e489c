"""Sends answers, and tries again for as long as the destination does not take them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from dwskd_monai.listening.counters import Counters
from dwskd_monai.listening.destination import Destination, NotTakenError, OtherKindError, UnreachableError
from dwskd_monai.listening.errors import placed
from dwskd_monai.listening.journal import State
from dwskd_monai.listening.store import Store

_LONGEST_WAIT = 300.0
_logger = logging.getLogger(__name__)


class Waits:
    """Growing waits: each is twice as long as the one before, up to five minutes.

    Args:
        first: seconds of the first.
        clock: for tests.
    """

    def __init__(self, first: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._first = first
        self._clock = clock
        self._waits: dict[str, tuple[float, float]] = {}  # by what waits: how long, until when

    def fail(self, what: str) -> float:
        """Something failed (again); returns the seconds that it waits now."""
        seconds = min(2 * self._waits[what][0], _LONGEST_WAIT) if what in self._waits else self._first
        self._waits[what] = (seconds, self._clock() + seconds)
        return seconds

    def succeed(self, what: str) -> None:
        """Something succeeded, and no longer waits."""
        self._waits.pop(what, None)

    def left(self, what: str) -> float:
        """Seconds that something still waits; 0 or less: it can be tried."""
        return self._waits[what][1] - self._clock() if what in self._waits else 0.0

    def last(self, what: str) -> float:
        """Seconds of the last wait of something; 0: it has not failed since it succeeded."""
        return self._waits[what][0] if what in self._waits else 0.0


class Sending:
    """Send the answers of studies that are classified.

    Args:
        store: where they are.
        destination: takes them.
        counters: what is counted.
        first_wait: seconds before the second attempt.

    Attributes:
        problem: why the destination takes nothing at the moment; None: it does, as far as is known.
    """

    def __init__(self, store: Store, destination: Destination, counters: Counters, first_wait: float = 1.0) -> None:
        self._store = store
        self._destination = destination
        self._counters = counters
        self._waits = Waits(first_wait)
        self._changed = threading.Event()
        self._ended = False
        self.problem: str | None = None

    def wake(self) -> None:
        """There is something to send."""
        self._changed.set()

    def end(self) -> None:
        """Let :meth:`run` end after the file that it sends now."""
        self._ended = True
        self._changed.set()

    def run(self) -> None:
        """Send until it is ended."""
        while not self._ended:
            self._changed.clear()
            left = self._send_all()
            self._changed.wait(left)

    def _send_all(self) -> float | None:
        """Send what can be sent now; returns the seconds until there is something to try again."""
        everything = self._destination.name
        lefts = []
        # Those that have failed come last: one over which the destination ends each connection must not hold up others
        for study in sorted(self._store.journal.in_state(State.CLASSIFIED), key=self._waits.last):
            if self._ended:
                return 0.0
            if (left := max(self._waits.left(everything), self._waits.left(study))) <= 0:
                left = self._try(study)
            if left > 0:
                lefts.append(left)
        return min(lefts, default=None)

    def _try(self, study: str) -> float:
        """Send the answers of a study; returns the seconds until it is tried again, 0 if it was sent."""
        self._store.begin_to_send(study)
        try:
            self._send(study)
        except UnreachableError as error:
            self._counters.failures.inc()
            self.problem = str(error)
            self._waits.fail(study)
            seconds = self._waits.fail(self._destination.name)
            _logger.warning("%s: %s; tried again in %g s", self._destination.name, error, seconds)
            return seconds
        except FileNotFoundError:
            return self._put_off(study, "its answers were replaced")
        except NotTakenError as error:
            if isinstance(error, OtherKindError):
                self._store.never_taken(study, str(error))
            return self._put_off(study, f"not taken: {error}")
        except Exception as error:  # other studies may be sent
            return self._put_off(study, f"an unexpected error, {placed(error)}")
        self._waits.succeed(study)
        return 0.0

    def _put_off(self, study: str, reason: str) -> float:
        self._counters.failures.inc()
        seconds = self._waits.fail(study)
        _logger.error("study %s: %s; tried again in %g s", study, reason, seconds)
        return seconds

    def _send(self, study: str) -> None:
        answers = self._store.journal.unsent(study)
        files = {instance: self._store.folders.answer(study, instance) for instance in answers}
        not_taken = []
        with self._destination.connection(list(files.values())) as send:
            for instance, file in files.items():
                if not self._store.journal.begin_to_send(study, instance):
                    return  # an image came, so that there will be another answer, or the study was put aside
                try:
                    send(file)
                except NotTakenError as error:  # another answer may be taken
                    self._store.journal.not_taken(instance)
                    not_taken.append(error)
                    continue
                self._store.journal.sent(study, instance)
                self._counters.answers.inc()
                self._waits.succeed(self._destination.name)
                self.problem = None
        if not_taken:  # rather one that may be taken later
            raise next((error for error in not_taken if not isinstance(error, OtherKindError)), not_taken[0])
        _logger.info("study %s: sent to %s", study, self._destination.name)
