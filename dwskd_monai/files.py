"""Writing files so that an interruption or a full disk never destroys what was there before."""

from __future__ import annotations

import csv
import errno
import functools
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # a system without file locks: what a killed process leaves there stays
    fcntl = None  # type: ignore[assignment]

# .model.pt.4711.0af3c59e.tmp; earlier versions wrote no random part, and held no lock
_TEMPORARY = re.compile(r"\..+\.\d+(?P<random>\.[0-9a-f]{8})?\.tmp")
_YOUNG = 2.0  # seconds, in which a process creates a file and locks it
_YOUNG_WITHOUT_LOCK = 3600.0

OUT_OF_SPACE = {  # errors of the system, and what they mean
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of the disk is used up",
    errno.EFBIG: "the file is larger than the system allows",
}


class DiskFullError(OSError):
    """A file could not be written whole.

    Args:
        path: of the file.
        number: a key of :data:`OUT_OF_SPACE`.
        needed: bytes; None: unknown.
    """

    def __init__(self, path: Path, number: int = errno.ENOSPC, needed: int | None = None) -> None:
        self.number = number
        self.needed = needed
        free = f"{shutil.disk_usage(path.parent).free / 1e6:.1f} MB free"
        sizes = free if needed is None else f"{needed / 1e6:.1f} MB needed, {free}"
        super().__init__(
            f"{path}: {OUT_OF_SPACE[number]}: {sizes} in {path.parent}. What was there before has not changed; "
            "make room, or choose another folder"
        )


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path``; once the block has ended without an error, it durably replaces ``path``.

    Several threads, processes and containers may do this at once: each writes a temporary file of its own. A lock on it
    tells the others that it is not a leftover.

    Raises:
        DiskFullError: if there is no space left; ``path`` is then as it was.
        OSError: if the file cannot be written for another reason; ``path`` is then as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _tidied(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as owned:
            _lock(owned)
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)  # first, so that the error says what is free without it
        number = error.number if isinstance(error, DiskFullError) else error.errno
        if number not in OUT_OF_SPACE:
            raise
        raise DiskFullError(path, number, getattr(error, "needed", None)) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder; those that a process is writing stay.

    :func:`replacing` does this once in each folder that it writes to.
    """
    if fcntl is None or not folder.is_dir():
        return
    for file in folder.glob(".*.tmp"):
        named = _TEMPORARY.fullmatch(file.name)
        if named is None:
            continue
        young = _YOUNG if named["random"] else _YOUNG_WITHOUT_LOCK
        with suppress(OSError):  # it is locked, was replaced meanwhile, or may not be removed by this user
            if time.time() - file.stat().st_mtime < young:
                continue
            with file.open("r+b") as opened:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.unlink()


@functools.cache
def _tidied(folder: Path) -> None:
    remove_leftovers(folder)


def _lock(file: IO[bytes]) -> None:
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks: nobody can lock the file to remove it either
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def replacing_pair(path: str | Path, companion: str | Path) -> Iterator[tuple[Path, Path]]:
    """Temporary paths of a file and of a companion that describes it; both take their places at the end of the block.

    Two files cannot be replaced in one step. So the companion is first put at :func:`next_of` its place, then the file
    is replaced, then the companion. After an interruption, the companion that belongs to the file is at one of the two
    places.

    Raises:
        OSError: if a file cannot be written; both are then as they were.
    """
    following = next_of(companion)
    with replacing(path) as temporary, replacing(following) as companion_temporary:
        yield temporary, companion_temporary
    os.replace(following, companion)


def next_of(companion: str | Path) -> Path:
    """Where :func:`replacing_pair` puts a companion until its file is replaced."""
    companion = Path(companion)
    return companion.with_name(f".{companion.name}.next")


def before_restart_of(path: str | Path) -> Path:
    """Where the best network from before the restart of a training is, beside the best one after it."""
    path = Path(path)
    return path.with_name(f"{path.stem}_before_restart{path.suffix}")


def previous_of(path: str | Path) -> Path:
    """Where the file is that was at a path before: ``metrics.previous.json`` for ``metrics.json``."""
    path = Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def partial_of(path: str | Path) -> Path:
    """Where a file grows until it is complete: ``predictions.partial.csv`` for ``predictions.csv``."""
    path = Path(path)
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def set_aside(path: str | Path) -> None:
    """Rename a file that an earlier run left, if there is one, to :func:`previous_of` its path."""
    path = Path(path)
    if path.is_file():
        os.replace(path, previous_of(path))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a map as JSON, in one step.

    Raises:
        OSError: if the file cannot be written; ``path`` is then as it was.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The map that a JSON file holds."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


# A name that is not UTF-8 is written with escapes; it must not end a run
CSV: dict[str, Any] = {"newline": "", "encoding": "utf-8", "errors": "backslashreplace"}


class GrowingCsv:
    """A CSV file that grows row by row at :func:`partial_of` its path and gets its final name when it is finished.

    One process writes it, and its rows can be read at any time. :class:`~dwskd_monai.data.refused.RefusedImages` is a
    list to which several processes add, and keeps the ranks in its file.

    Args:
        path: of the finished file. Until then, the file of an earlier run stays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = partial_of(path)
        self._columns: list[str] = []
        self._ranks: list[int] = []

    def write(self, row: Mapping[str, object], rank: int = 0) -> None:
        """Add a row; when this returns, it is on the disk.

        Args:
            row: the keys of the first row are the columns.
            rank: rows of a lower rank come first in the finished file.
        """
        first = not self._ranks
        if first:
            self._columns = list(row)
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.partial.open("w" if first else "a", **CSV) as file:
            writer = csv.DictWriter(file, self._columns)
            if first:
                writer.writeheader()
            writer.writerow(row)
        self._ranks.append(rank)

    def finish(self) -> int:
        """Give the file its name, if there was a row; returns the number of rows."""
        ranks = self._ranks
        self._ranks = []
        if not ranks:
            self.path.unlink(missing_ok=True)  # of an earlier run, and no longer true
            return 0
        if ranks != sorted(ranks):
            self._sort(ranks)
        os.replace(self.partial, self.path)
        return len(ranks)

    def _sort(self, ranks: Sequence[int]) -> None:
        with self.partial.open(**CSV) as file:
            header, *rows = csv.reader(file)
        with replacing(self.partial) as temporary, temporary.open("w", **CSV) as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows[number] for number in sorted(range(len(rows)), key=ranks.__getitem__))
