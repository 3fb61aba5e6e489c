"""Errors of the machine, not of the program: too little memory, a process that was ended; and what to do about them.

Libraries report these errors in dozens of lines about themselves. :data:`CAUSES` has a row for each.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import NamedTuple

from monai.bundle import ConfigParser

_SHARED_MEMORY = Path("/dev/shm")


class Cause(NamedTuple):
    """A kind of error.

    Args:
        pattern: matches the message of the error.
        said: what happened and what to do; ``{KEY}`` stands for the value of a setting, ``{shm}`` for the size of the
            shared memory.
    """

    pattern: re.Pattern[str]
    said: str


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.DOTALL)


# The first row that matches is used
CAUSES = [
    Cause(
        _pattern(r"(out of|insufficient|unable to open) shared memory|[Bb]us error|</torch_\d+"),
        "the worker processes ran out of shared memory (/dev/shm has {shm}). Enlarge it (docker run --shm-size=8g), or "
        "read images in the main process: --num_workers 0 (now {num_workers})",
    ),
    Cause(
        _pattern(r"DataLoader worker \(pid\(?s?\)? .*(is killed by signal|exited unexpectedly)"),
        "a worker process was ended from outside, most often because memory ran out. Use fewer of them, or a smaller "
        "batch: --num_workers 0 (now {num_workers}), --batch_size (now {batch_size})",
    ),
    Cause(
        _pattern(r"CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED|HIP out of memory"),
        "the GPU ran out of memory. Use a smaller batch: --batch_size (now {batch_size}); in training, "
        "--accumulation_steps 2 keeps the step as it was. Smaller images need less memory too: --image_size (now "
        "{image_size}). Other programs may be using the GPU: nvidia-smi shows them",
    ),
    Cause(
        _pattern(r"DefaultCPUAllocator: (can't allocate memory|not enough memory)|Cannot allocate memory"),
        "memory ran out. Use a smaller batch: --batch_size (now {batch_size}), or fewer processes: "
        "--num_workers (now {num_workers})",
    ),
    Cause(
        _pattern(r"Too many open files|received 0 items of ancdata"),
        "the system allows no more open files. Raise the limit: ulimit -n 65536, or use fewer processes: "
        "--num_workers (now {num_workers})",
    ),
    Cause(
        _pattern(
            r"Timed out waiting \d+ms for (send|recv) operation|Connection closed by peer|Connection reset by peer"
        ),
        "another process of this training ended, or did not answer within --timeout_minutes (now {timeout_minutes}). "
        "Look for the first error above, and find out what the other process is waiting for",
    ),
    Cause(
        _pattern(r"Expected more than 1 value per channel when training"),
        "batch norm needs more than one image in each batch: --batch_size 2 or more (now {batch_size})",
    ),
]


def said_of(error: BaseException, parser: ConfigParser) -> str | None:
    """What happened and what to do; None if the error is not of a known kind.

    Args:
        error: the error itself, without those that wrap it.
        parser: of the config that runs.
    """
    if isinstance(error, MemoryError):
        return _filled("memory ran out. Use a smaller batch: --batch_size (now {batch_size})", parser)
    return next((_filled(cause.said, parser) for cause in CAUSES if cause.pattern.search(str(error))), None)


def _filled(said: str, parser: ConfigParser) -> str:
    settings = {key: parser.get(key) for key in ("num_workers", "batch_size", "image_size", "timeout_minutes")}
    return said.format(shm=_size_of_shared_memory(), **settings)


def _size_of_shared_memory() -> str:
    if not _SHARED_MEMORY.is_dir():
        return "an unknown size"
    return f"{shutil.disk_usage(_SHARED_MEMORY).total / 2**20:.0f} MiB"
