"""A process of ``python -m monai.bundle``: its output goes to a log, and a failure is reported with its cause."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TextIO

_logger = logging.getLogger(__name__)
_PATIENCE = 0.2  # seconds
_SOME_REFUSED = 3  # exit code of a run that has used all images except those in refused.csv
_interrupted = Event()
_running: set[subprocess.Popen[bytes]] = set()
_BAD_INPUT = "error: "  # how a bundle's process begins the message that it ends with
# this, or the last line of a traceback
_ERROR = re.compile(rf"^(?:{_BAD_INPUT}|[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit): )")


class ProcessError(RuntimeError):
    """A process that failed; the message is its cause."""


@contextmanager
def locked_log(path: Path, name: str) -> Iterator[TextIO]:
    """The log of a run, opened for appending and locked, so that only one command works on the run.

    Two commands at a time would continue each other's training, so the second one waits. The lock belongs to the open
    file, which processes inherit as their output: if a command is killed and its process goes on, the run stays locked
    until the process has ended.

    Args:
        path: of the log.
        name: of the run, for the message that the command waits.

    Raises:
        ProcessError: if :func:`end_running` ends the waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _logger.warning("%s: another command is running it; waiting for that command", name)
            _wait_for(log)
        yield log


def _wait_for(log: TextIO) -> None:
    """Lock a log that others have locked. It is tried repeatedly, since waiting for a lock cannot be interrupted."""
    while not _interrupted.wait(_PATIENCE):
        with suppress(BlockingIOError):
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
    raise ProcessError("interrupted while it waited for another command")


def run_bundle(
    run_id: str | None, configs: Sequence[Path], log: TextIO, variables: Mapping[str, str] | None = None
) -> None:
    """Run ``python -m monai.bundle run`` to its end.

    Args:
        run_id: the id that is run; None: ``run``.
        configs: config files; MONAI takes the metadata and logging files beside the first one.
        log: file to which the command line and the output of the process are appended.
        variables: environment variables, in addition to those of this process.

    Raises:
        ProcessError: if it fails.
    """
    ids = [] if run_id is None else [run_id]
    command = ["-m", "monai.bundle", "run", *ids, "--config_file", json.dumps([str(path) for path in configs])]
    log.write(f"$ {shlex.join(['python', *command])}\n")
    log.flush()
    begin = os.fstat(log.fileno()).st_size
    with subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(variables or {})},
    ) as process:
        _running.add(process)
        if _interrupted.is_set():
            process.terminate()
        try:
            code = process.wait()
        finally:
            _running.discard(process)
    if code < 0:
        raise ProcessError(f"its process was killed ({signal.Signals(-code).name}), perhaps because memory ran out")
    if code == _SOME_REFUSED:
        _logger.warning("%s: images were refused; refused.csv of the run says why", log.name)
    elif code > 0:
        with open(log.name, "rb") as printed:
            printed.seek(begin)
            raise ProcessError(cause_in(printed.read().decode(errors="replace")) or f"exit code {code}")


def end_running() -> None:
    """End the processes that :func:`run_bundle` and :func:`locked_log` wait for, and refuse new ones in all threads.

    The same command continues a training that was ended.
    """
    _interrupted.set()
    for process in tuple(_running):
        process.terminate()


def allow_running() -> None:
    """Allow new processes again after :func:`end_running`."""
    _interrupted.clear()


@contextmanager
def ending_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block by an exception, as Ctrl-C does, so that no process is left behind."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def cause_in(printed: str) -> str:
    """The last error that a process printed, or its last line if it printed no error."""
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", printed) if line.strip()]
    errors = [index for index, line in enumerate(lines) if _ERROR.match(line)]
    return "\n".join(lines[errors[-1] :] if errors else lines[-1:]).removeprefix(_BAD_INPUT)
