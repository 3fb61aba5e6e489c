"""What a check found: errors, which stop a training, warnings, and notes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

ERROR, WARNING, NOTE = "error", "warning", "note"
_DATA_LOG = logging.getLogger("dwskd_monai.data")
EXIT_CODES = {ERROR: 2, WARNING: 3, NOTE: 0}


@dataclass(frozen=True)
class Finding:
    """One thing that somebody should know before a training.

    Args:
        level: ``error``, ``warning`` or ``note``.
        kind: in a word or two, ``near copies`` for instance.
        message: what was found, and what to do.
        images: the images that it is about, or pairs of them with what they have in common.
    """

    level: str
    kind: str
    message: str
    images: Sequence[str] = ()


class _Listener(logging.Handler):
    """A warning of the training's code becomes a warning of the check."""

    def __init__(self, findings: Findings, kind: str, least: int) -> None:
        super().__init__(least)
        self._findings = findings
        self._kind = kind

    def emit(self, record: logging.LogRecord) -> None:
        """Add a warning."""
        self._findings.warn(self._kind, record.getMessage())


@dataclass
class Findings:
    """All findings, in the order in which they were made."""

    all: list[Finding] = field(default_factory=list)

    def error(self, kind: str, message: str, images: Sequence[str] = ()) -> None:
        """Add something that stops a training."""
        self.all.append(Finding(ERROR, kind, message, images))

    def warn(self, kind: str, message: str, images: Sequence[str] = ()) -> None:
        """Add something that makes the result of a training doubtful."""
        self.all.append(Finding(WARNING, kind, message, images))

    def note(self, kind: str, message: str, images: Sequence[str] = ()) -> None:
        """Add something that is good to know."""
        self.all.append(Finding(NOTE, kind, message, images))

    @contextmanager
    def collecting(self, kind: str, least: int = logging.WARNING) -> Iterator[None]:
        """A ValueError or OSError in the block becomes an error, a warning of its log a warning; the check goes on.

        Args:
            kind: of what is found.
            least: level of log records that become warnings.
        """
        listener = _Listener(self, kind, least)
        _DATA_LOG.addHandler(listener)
        propagated, _DATA_LOG.propagate = _DATA_LOG.propagate, False
        try:
            yield
        except (ValueError, OSError) as error:
            self.error(kind, str(error))
        finally:
            _DATA_LOG.propagate = propagated
            _DATA_LOG.removeHandler(listener)

    def in_order(self) -> list[Finding]:
        """Errors first, then warnings, then notes."""
        levels = list(EXIT_CODES)
        return sorted(self.all, key=lambda finding: levels.index(finding.level))

    @property
    def exit_code(self) -> int:
        """2 if there is an error, 3 if there is a warning, else 0."""
        return EXIT_CODES[self.in_order()[0].level] if self.all else 0
