"""A process of ``python -m monai.bundle``: what it prints goes to a log, and a failure is told by its cause."""

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
_SOME_REFUSED = 3  # exit code of a run that has used all images but those in refused.csv
_interrupted = Event()
_running: set[subprocess.Popen[bytes]] = set()
_BAD_INPUT = "error: "  # how a bundle's process begins the message that it ends with
# that, or the last line of a traceback
_ERROR = re.compile(rf"^(?:{_BAD_INPUT}|[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit): )")


class ProcessError(RuntimeError):
    """A process that failed; the message is its cause."""


@contextmanager
def locked_log(path: Path, name: str) -> Iterator[TextIO]:
    """The log of a run, open to be added to; whoever has it open so is alone with the run.

    Two commands at a time would continue each other's training, so the second waits. The lock is one of the open file,
    which processes inherit as their output: if a command is killed and its process goes on, the run stays locked until
    the process has ended.

    Args:
        path: of the log.
        name: of the run, for the message that it is waited for.

    Raises:
        ProcessError: if the waiting is ended by :func:`end_running`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _logger.warning("%s: another command runs it; waiting for that", name)
            _wait_for(log)
        yield log


def _wait_for(log: TextIO) -> None:
    """Lock a log that others have locked; asked again and again, since a lock cannot be waited for and interrupted."""
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
        run_id: what of the config is run; None: ``run``.
        configs: config files; MONAI takes metadata and logging from beside the first.
        log: file that the command line, and what the process prints, is added to.
        variables: of the environment, beside those of this process.

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
        raise ProcessError(f"its process was killed ({signal.Signals(-code).name}), perhaps for lack of memory")
    if code == _SOME_REFUSED:
        _logger.warning("%s: images were refused; refused.csv of the run says why", log.name)
    elif code > 0:
        with open(log.name, "rb") as printed:
            printed.seek(begin)
            raise ProcessError(cause_in(printed.read().decode(errors="replace")) or f"exit code {code}")


def end_running() -> None:
    """End what :func:`run_bundle` and :func:`locked_log` wait for, and all that comes after it in other threads.

    A training that was ended is continued by the same command.
    """
    _interrupted.set()
    for process in tuple(_running):
        process.terminate()


def allow_running() -> None:
    """Let processes run again that :func:`end_running` would end."""
    _interrupted.clear()


@contextmanager
def ending_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, by an exception, so that no process is left behind."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def cause_in(printed: str) -> str:
    """The last error that a process printed; its last line if it printed no error."""
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", printed) if line.strip()]
    errors = [index for index, line in enumerate(lines) if _ERROR.match(line)]
    return "\n".join(lines[errors[-1] :] if errors else lines[-1:]).removeprefix(_BAD_INPUT)
