"""What is wrong, out of the errors that MONAI's config machinery wraps around it."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import TracebackType

_MACHINERY = (str(Path("monai", "bundle")), str(Path("monai", "utils", "module.py")))


def explain_errors() -> None:
    """Let an uncaught error end with its own message.

    A config's errors come out of MONAI as "Failed to instantiate component …", what is wrong a hundred lines above it.
    The traceback stays as it is; one line with the cause follows it.
    """
    if not isinstance(sys.excepthook, _Explanation):
        sys.excepthook = _Explanation()


class _Explanation:
    """An exception hook that adds the cause of an error."""

    def __init__(self) -> None:
        self._before = sys.excepthook

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self._before(kind, error, trace)
        cause = cause_of(error)
        if cause is not error:
            sys.stderr.write(f"\n{type(cause).__name__}: {cause}\n")


def cause_of(error: BaseException) -> BaseException:
    """The first cause of an error that MONAI's config machinery did not raise itself."""
    while error.__cause__ is not None and _raised_by_machinery(error):
        error = error.__cause__
    return error


def _raised_by_machinery(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and any(part in frames[-1].filename for part in _MACHINERY)
