"""The listener: what receives, answers and sends, in threads of one process."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dwskd_monai.listening.classifying import Answering, Classifying
from dwskd_monai.listening.counters import Counters
from dwskd_monai.listening.destination import Destination
from dwskd_monai.listening.errors import placed
from dwskd_monai.listening.health import HealthPage
from dwskd_monai.listening.journal import State
from dwskd_monai.listening.quiet import QuietTime
from dwskd_monai.listening.receiving import Receiving
from dwskd_monai.listening.sending import Sending
from dwskd_monai.listening.settings import Settings
from dwskd_monai.listening.store import Store

_TIDY_SECONDS = 60.0
_END_SECONDS = 10.0
_logger = logging.getLogger(__name__)


class Listener:
    """Receives studies, answers them, and sends the answers.

    Args:
        settings: of the command.
        answer: from the folder of a study to its answers.
        destination: takes the answers.
        first_wait: seconds before answers are sent again that were not taken.

    Attributes:
        address: host and port, once it has started.
        health_address: those of the health page; None: there is none.
        quiet: the studies that are not complete.

    Raises:
        OSError: if the folder cannot be written to.
        ValueError: if another listener uses it.
    """

    def __init__(
        self, settings: Settings, answer: Answering, destination: Destination, first_wait: float = 1.0
    ) -> None:
        self._settings = settings
        self.store = Store(settings.folder, settings.max_studies, settings.keep)
        self.counters = Counters(lambda: {state.value: count for state, count in self.store.journal.counts().items()})
        self.quiet = QuietTime(settings.quiet_time)
        self._sending = Sending(self.store, destination, self.counters, first_wait)
        self._classifying = Classifying(self.store, self.quiet, answer, self.counters, self._sending.wake)
        self._receiving = Receiving(self.store, self.counters, self.quiet.hear, settings.aet, settings.allow_aet)
        self._page: HealthPage | None = None
        self._threads: list[threading.Thread] = []
        self._end = threading.Event()
        self._failed: str | None = None
        self.address = ("", 0)
        self.health_address: tuple[str, int] | None = None

    def start(self) -> None:
        """Go on with the studies of an earlier process, and begin to listen.

        Raises:
            OSError: if an address cannot be used.
        """
        try:
            self._open()
        except OSError:
            self.stop()
            raise
        for study in self.store.journal.in_state(State.RECEIVED):
            self.quiet.hear(study)
        for _ in range(self._settings.workers):
            self._begin("classifying", self._classifying.run)
        self._begin("sending", self._sending.run)

    def _begin(self, name: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guarded, args=(name, run), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _open(self) -> None:
        settings = self._settings
        host = settings.host
        if settings.health_port is not None:
            with _naming(f"--health_port {settings.health_port} of {host}"):
                self._page = HealthPage(host, settings.health_port, self.health, self.counters.text)
            self.health_address = self._page.address
            self._page.start()
        with _naming(f"--port {settings.port} of {host}"):
            self.address = self._receiving.start(host, settings.port, settings.allow_address, settings.server_tls)

    def _guarded(self, name: str, run: Callable[[], None]) -> None:
        """Run a thread whose unexpected end ends the listener, so that what started it starts it again."""
        try:
            run()
        except Exception as error:
            if self._end.is_set():  # it did not end in time, and its journal is closed
                return
            self._failed = f"{name} failed: {placed(error)}"
            _logger.error("%s; the listener ends, and can be started again: no study is lost", self._failed)
            self._end.set()

    def health(self) -> dict[str, Any]:
        """How the listener is; ``status`` is ``ok`` if all of its threads run."""
        return {
            "status": "ok" if self._failed is None else self._failed,
            "studies": dict(self.store.journal.counts()),
            "destination": "ok" if self._sending.problem is None else self._sending.problem,
        }

    def end(self) -> None:
        """Let :meth:`wait` return; signal handlers may call it."""
        self._end.set()

    def wait(self) -> bool:
        """Wait for the end, and meanwhile remove old files; returns whether nothing failed."""
        while not self._end.wait(_TIDY_SECONDS):
            try:
                self.store.remove_old()
            except (OSError, sqlite3.Error) as error:  # a full disk, for instance
                _logger.error("old files cannot be removed (%s); it is tried again", placed(error))
        return self._failed is None

    def stop(self) -> None:
        """Take no more images, and end; what is not finished is in the journal."""
        self._end.set()
        self._receiving.stop()
        self.quiet.end()
        self._sending.end()
        for thread in self._threads:
            thread.join(_END_SECONDS)  # a long classification is interrupted: it is done again at the next start
        if self._page is not None:
            self._page.stop()
        self.store.close()


@contextmanager
def _naming(setting: str) -> Iterator[None]:
    """Name the setting in the error of an address that cannot be used."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{setting}: {error.strerror or error}") from error
