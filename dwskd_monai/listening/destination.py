"""Where answers are sent: the errors that sending ends with, and what each way of sending can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

# Statuses of C-STORE, and failure reasons of STOW
DUPLICATE = 0x0111  # it has this instance already
OTHER_KIND = 0x0122  # it does not support this SOP class


class UnreachableError(Exception):
    """The destination takes nothing at the moment; the message says why."""


class NotTakenError(Exception):
    """The destination does not take this answer; the message says why."""


class OtherKindError(NotTakenError):
    """The destination takes no objects of this kind, such as reports, neither now nor later."""


class Destination(Protocol):
    """A way to send answers."""

    name: str  # for messages

    def connection(self, files: Sequence[Path]) -> AbstractContextManager[Callable[[Path], None]]:
        """A connection for some files, and what sends one of them.

        Sending raises UnreachableError or NotTakenError. When it returns, the destination has the file.
        """
