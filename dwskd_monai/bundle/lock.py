"""One run at a time in a folder."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from filelock import FileLock, Timeout

_NAME = ".run.lock"


def require_alone(folder: str | Path, run: object) -> None:
    """Keep other processes from running in a folder as long as a run lives.

    The system lets go of the lock when the process ends, also one that is killed. Of several processes that train
    together the first one holds it.

    Args:
        folder: that the run writes to; it is made if it does not exist.
        run: the object whose life is that of the run, the workflow.

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
            f"{folder}: another run writes there now; wait for its end, or give this one a folder of its own: "
            "--output_dir DIR (and --ckpt_dir DIR for a training)"
        ) from None
    weakref.finalize(run, lock.release)
