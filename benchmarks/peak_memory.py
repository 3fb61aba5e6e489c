"""Peak memory of a benchmark's process."""

from __future__ import annotations

from pathlib import Path


def peak_kibibytes() -> int:
    """Peak resident memory of this process since it was started (``ru_maxrss`` includes the parent's)."""
    return int(next(line.split()[1] for line in Path("/proc/self/status").open() if line.startswith("VmHWM")))
