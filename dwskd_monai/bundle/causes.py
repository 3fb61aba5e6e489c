"""Errors that are a machine's and not a program's: too little memory, a process that was ended; with what to do.

Libraries tell them in dozens of lines about themselves. :data:`CAUSES` has a row for each.
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
        pattern: what its message has.
        said: what happened, and what to do; ``{KEY}`` is a setting with its value, ``{shm}`` the shared memory's size.
    """

    pattern: re.Pattern[str]
    said: str


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.DOTALL)


# The first row that fits counts
CAUSES = [
    Cause(
        _pattern(r"(out of|insufficient|unable to open) shared memory|[Bb]us error|</torch_\d+"),
        "the worker processes ran out of shared memory (/dev/shm has {shm}). Enlarge it (docker run --shm-size=8g), or "
        "read in the main process: --num_workers 0 (now {num_workers})",
    ),
    Cause(
        _pattern(r"DataLoader worker \(pid\(?s?\)? .*(is killed by signal|exited unexpectedly)"),
        "a worker process was ended from outside, most often because memory ran out. Take fewer of them or a smaller "
        "batch: --num_workers 0 (now {num_workers}), --batch_size (now {batch_size})",
    ),
    Cause(
        _pattern(r"CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED|HIP out of memory"),
        "the GPU ran out of memory. Take a smaller batch: --batch_size (now {batch_size}); in training, "
        "--accumulation_steps 2 keeps the step as it was, and smaller images need less: --image_size (now "
        "{image_size}). Other programs may use the GPU too: nvidia-smi shows them",
    ),
    Cause(
        _pattern(r"DefaultCPUAllocator: (can't allocate memory|not enough memory)|Cannot allocate memory"),
        "memory ran out. Take a smaller batch: --batch_size (now {batch_size}), or fewer processes: "
        "--num_workers (now {num_workers})",
    ),
    Cause(
        _pattern(r"Too many open files|received 0 items of ancdata"),
        "the system allows no more open files. Raise the limit: ulimit -n 65536, or take fewer processes: "
        "--num_workers (now {num_workers})",
    ),
    Cause(
        _pattern(
            r"Timed out waiting \d+ms for (send|recv) operation|Connection closed by peer|Connection reset by peer"
        ),
        "another process of this training ended, or did not answer for the time that --timeout_minutes allows (now "
        "{timeout_minutes}); look for the first error above, and for what the other process waits for",
    ),
    Cause(
        _pattern(r"Expected more than 1 value per channel when training"),
        "batch norm needs more than one image in each batch: --batch_size 2 or more (now {batch_size})",
    ),
]


def said_of(error: BaseException, parser: ConfigParser) -> str | None:
    """What happened and what to do, if an error is of a known kind.

    Args:
        error: without what wraps it.
        parser: of the config that runs.
    """
    if isinstance(error, MemoryError):
        return _filled("memory ran out. Take a smaller batch: --batch_size (now {batch_size})", parser)
    return next((_filled(cause.said, parser) for cause in CAUSES if cause.pattern.search(str(error))), None)


def _filled(said: str, parser: ConfigParser) -> str:
    settings = {key: parser.get(key) for key in ("num_workers", "batch_size", "image_size", "timeout_minutes")}
    return said.format(shm=_size_of_shared_memory(), **settings)


def _size_of_shared_memory() -> str:
    if not _SHARED_MEMORY.is_dir():
        return "an unknown size"
    return f"{shutil.disk_usage(_SHARED_MEMORY).total / 2**20:.0f} MiB"
