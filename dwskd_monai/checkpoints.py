"""Files of tensors, read and written with errors that say what is wrong with a file, or that the disk is full.

``torch.load`` reads zeros in the middle of a file as weights, names no file in its errors, and advises
``weights_only=False``, which runs any code that a file contains.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dwskd_monai.files import OUT_OF_SPACE, DiskFullError

_ZIP = b"PK\x03\x04"
_OTHER_KINDS = {  # by their first bytes, in lower case
    b"version https://git-lfs": "a Git LFS pointer in place of the file; fetch the file itself: git lfs pull",
    b"<!doctype html": "an HTML page, not the file that was to be downloaded; download it again",
    b"<html": "an HTML page, not the file that was to be downloaded; download it again",
}
_DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError)
_REFUSED_CLASS = re.compile(r"GLOBAL (\S+)")


class DamagedFileError(ValueError):
    """A file that was complete when it was written, and is damaged now."""


class _ByteCounter(io.BytesIO):
    """A file that counts what is written to it, and keeps nothing."""

    count = 0

    def write(self, data: Any, /) -> int:
        size = memoryview(data).nbytes
        self.count += size
        return size


def size_of(content: Any) -> int:
    """Bytes of the file that :func:`write` makes."""
    counter = _ByteCounter()
    torch.save(content, counter)
    return counter.count


def write(content: Any, file: Path) -> None:
    """``torch.save`` with an error that says so if the disk is full; torch only says "enforce fail".

    Raises:
        DiskFullError: if there is no space left; it knows the bytes that are needed.
    """
    try:
        with file.open("wb") as opened:  # with a path instead, torch would lose the reason that the system gives
            torch.save(content, opened)
            opened.flush()
            os.fsync(opened.fileno())  # a disk can be found full as late as here
    except (RuntimeError, OSError) as error:
        reason = error if isinstance(error, OSError) else error.__context__
        if isinstance(reason, OSError) and reason.errno in OUT_OF_SPACE:
            raise DiskFullError(file, reason.errno, size_of(content)) from error
        raise


def load(
    path: str | Path, map_location: str | torch.device = "cpu", mmap: bool = False, known_whole: bool = False
) -> Any:
    """The content of a file that ``torch.save`` wrote: tensors, numbers and text, and no code.

    Args:
        path: of the file.
        map_location: device of the tensors.
        mmap: map the file into memory; values are read when they are used.
        known_whole: whether :func:`check_whole` has been called, which reads the whole file.

    Raises:
        FileNotFoundError: if there is no file.
        DamagedFileError: if a part of the file is missing or was changed.
        ValueError: if the file is of another kind, or holds Python objects.
    """
    path = Path(path)
    if not known_whole:
        check_whole(path)
    try:
        return torch.load(path, map_location=map_location, weights_only=True, mmap=mmap and zipfile.is_zipfile(path))
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: {_why_refused(error)}") from error


def load_tensors(
    path: str | Path, under: Sequence[str] = (), mmap: bool = False, known_whole: bool = False
) -> dict[str, torch.Tensor]:
    """The state dict that a file holds, on the CPU.

    Args:
        path: of the file.
        under: keys under which the state dict may be, in a map.
        mmap, known_whole: see :func:`load`.

    Raises:
        FileNotFoundError, ValueError: see :func:`load`; also if the file holds something else, which the message names.
    """
    content = load(path, mmap=mmap, known_whole=known_whole)
    for key in under:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if isinstance(content, dict) and content and all(isinstance(value, torch.Tensor) for value in content.values()):
        return content
    shown = (
        f"a map of {', '.join(map(str, list(content)[:5]))}" if isinstance(content, dict) else type(content).__name__
    )
    raise ValueError(f"{path}: expected a state dict (tensors by their names), got {shown}; {_SAVE_STATE_DICT}")


def check_whole(path: Path) -> None:
    """Raise if a file is damaged or cannot hold tensors; see :func:`load`."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise DamagedFileError(f"{path}: an empty file; copy or download it again")
    for start, kind in _OTHER_KINDS.items():
        if head.lstrip().lower().startswith(start):
            raise ValueError(f"{path}: {kind}")
    if not any(head):
        raise DamagedFileError(f"{path}: damaged, it begins with zeros; copy or download it again")
    if head.startswith(_ZIP):
        _check_zip(path)


def _check_zip(path: Path) -> None:
    """Compare each part of the file with the checksum, a CRC-32, that torch wrote for it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            part = archive.testzip()
    except _DAMAGED_ZIP as error:
        raise DamagedFileError(
            f"{path}: damaged, its end is missing or its table of contents was changed; copy or download it again"
        ) from error
    if part is not None:
        raise DamagedFileError(f"{path}: damaged, the checksum of its part {part} is wrong; copy or download it again")
    if any(name.endswith("/constants.pkl") for name in names):
        raise ValueError(f"{path}: expected a state dict, got a TorchScript network; {_SAVE_STATE_DICT}")


_SAVE_STATE_DICT = "save the state dict in the program that made the file: torch.save(network.state_dict(), FILE)"


def _why_refused(error: Exception) -> str:
    """What is wrong with a file that torch refuses, without its advice to run the code that the file may have."""
    refused = _REFUSED_CLASS.search(str(error))
    if refused:
        return (
            f"it holds Python objects ({refused[1]}), not only tensors. It is not read, since reading such a file runs "
            f"code that it contains. If you trust it, {_SAVE_STATE_DICT}"
        )
    return "damaged, or not a file of tensors that torch.save wrote; give another file"
