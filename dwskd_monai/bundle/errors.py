"""Turns the errors that MONAI's config machinery wraps around a cause into one message that says what is wrong."""

from __future__ import annotations

import os
import re
import sys
import time
import traceback
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any

import ignite.distributed as idist
from monai.bundle import ConfigParser

from dwskd_monai.bundle.causes import said_of
from dwskd_monai.bundle.interruption import INTERRUPTED, is_interruption, keep_from_workers, said_at_interruption
from dwskd_monai.files import OUT_OF_SPACE

BAD_INPUT = 2  # exit code
LOG = "error.log"
# Errors that this package raises with a message for its user: wrong settings and files, a library that is not
# installed, a loss that became NaN. Anything else is a fault of a program, and ends as usual in Python.
_EXPLAINED = (ValueError, OSError, ImportError, FloatingPointError)
# of MONAI, and not of dwskd_monai/bundle
_MACHINERY = (str(Path("/monai", "bundle")), str(Path("/monai", "utils", "module.py")))
_IN_WORKER = re.compile(r"Caught \w+ in DataLoader worker process .*\n(\w+\.)*\w+: (?P<message>.*)", re.DOTALL)


def end_with_one_message(parser: ConfigParser, run: object) -> None:
    """If an error is not caught, end the process with one message that says what is wrong, and exit code 2.

    MONAI reports the errors of a config as "Failed to instantiate component …", a hundred lines below the cause. The
    traceback goes to ``error.log`` in the run's ``output_dir``; the setting ``verbose`` prints it.

    Args:
        parser: of the config that runs.
        run: the object that lives as long as the run: the workflow. Later errors of a script are not changed.
    """
    hook = _OneMessage(parser)
    sys.excepthook = hook
    keep_from_workers(run)
    weakref.finalize(run, _take_away, hook)


def _take_away(hook: _OneMessage) -> None:
    if sys.excepthook is hook:
        sys.excepthook = sys.__excepthook__


class _OneMessage:
    """An exception hook; it raises ``SystemExit``, which gives the process its exit code."""

    def __init__(self, parser: ConfigParser) -> None:
        self._parser = parser
        self._since = time.time()
        self._process = os.getpid()

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if os.getpid() != self._process:  # a worker, which gives its errors to this process
            if not isinstance(error, ConnectionError):  # this process is gone, or ends, and says why itself
                sys.__excepthook__(kind, error, trace)
            return
        if is_interruption(error):
            self._end_interrupted()
        cause = cause_of(error)
        code = getattr(cause, "exit_code", None)
        if code is not None:  # the run did what it could, and says what it could not do
            sys.stderr.write(f"error: {cause}\n")
            raise SystemExit(code)
        message = said_of(cause, self._parser) or (message_of(cause) if isinstance(cause, _EXPLAINED) else None)
        if message is None or self._parser.get("verbose", False):
            sys.__excepthook__(kind, error, trace)
            if message is None:
                if cause is not error:  # the cause would be a hundred lines above
                    sys.stderr.write(f"\n{type(cause).__name__}: {cause}\n")
                return
        else:
            self._log(error)
        sys.stderr.write(f"error: {message}\n")
        raise SystemExit(BAD_INPUT)

    def _end_interrupted(self) -> None:
        if idist.get_rank() == 0:
            sys.stderr.write(f"{said_at_interruption(self._parser, self._since)}\n")
        raise SystemExit(INTERRUPTED)

    def _log(self, error: BaseException) -> None:
        """Write the traceback to a file; without a folder for it, to standard error, unless the disk is full."""
        text = "".join(traceback.format_exception(error))
        try:
            folder = Path(str(self._parser.get_parsed_content("output_dir")))
            folder.mkdir(parents=True, exist_ok=True)
            (folder / LOG).write_text(text, encoding="utf-8")
        except OSError as failure:
            if failure.errno not in OUT_OF_SPACE:
                sys.stderr.write(text)
            return
        except Exception:  # even if the config is wrong too, the error must be shown
            sys.stderr.write(text)
            return
        sys.stderr.write(f"\nThe traceback is in {folder / LOG}; --verbose true prints it.\n")


def cause_of(error: BaseException) -> BaseException:
    """The first in an error's chain of causes that MONAI's config machinery did not raise itself."""
    while error.__cause__ is not None and _raised_by_machinery(error):
        error = error.__cause__
    return error


def parsed_content(parser: ConfigParser, name: str) -> Any:
    """The object that a config makes of an id; an error in one of its parts is raised itself, not wrapped."""
    try:
        return parser.get_parsed_content(name)
    except RuntimeError as error:
        cause = cause_of(error)
        raise cause from cause.__cause__  # not from the error that wraps it, whose cause it is itself


def message_of(error: BaseException) -> str:
    """An error's message, without the traceback that a worker process of a DataLoader puts into it."""
    text = str(error) or type(error).__name__
    in_worker = _IN_WORKER.match(text)
    return in_worker["message"].strip() if in_worker else text


def _raised_by_machinery(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and any(part in frames[-1].filename for part in _MACHINERY)
