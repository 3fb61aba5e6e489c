"""One run at a time in a folder."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from filelock import FileLock, Timeout

_NAME = ".run.lock"


def require_alone(folder: str | Path, run: object) -> None:
    """Keep other processes from running in a folder as long as this run lasts.

    The system releases the lock when the process ends, even if it is killed. If several processes train together, the
    first one holds the lock.

    Args:
        folder: the folder that the run writes to; it is made if it does not exist.
        run: the object that lives as long as the run, the workflow.

    Raises:
        BlockingIOError: if another process runs there.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.resolve() / _NAME, timeout=0, thread_local=False, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise BlockingIOError(
            f"{folder}: another run is writing there; wait for its end, or give this run a folder of its own: "
            "--output_dir DIR (and --ckpt_dir DIR for a training)"
        ) from None
    weakref.finalize(run, lock.release)
