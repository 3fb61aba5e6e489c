"""What the bundles' configs need around a run: where they are, and errors that end with what is wrong."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import TracebackType

_MACHINERY = (str(Path("monai", "bundle")), str(Path("monai", "utils", "module.py")))


def find_bundle_root() -> str:
    """Folder of the bundle that runs.

    ``monai.bundle.run`` puts the bundle's folder on ``sys.path`` before it runs a config, and tells it in no other way;
    so a config that is started from any working directory finds its bundle there. Without it, the working directory.
    """
    for entry in sys.path[1:]:
        if (Path(entry) / "configs" / "metadata.json").is_file():
            return str(Path(entry).resolve())
    return str(Path.cwd())


def explain_errors() -> None:
    """Let an uncaught error end with its own message.

    A config's errors come out of MONAI as "Failed to instantiate component …", what is wrong a hundred lines above it.
    The traceback stays as it is; one line with the cause follows it.
    """
    if not isinstance(sys.excepthook, _Explanation):
        sys.excepthook = _Explanation()


class _Explanation:
    """An exception hook that adds the first cause that the config's machinery did not raise itself."""

    def __init__(self) -> None:
        self._before = sys.excepthook

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self._before(kind, error, trace)
        cause = error
        while cause.__cause__ is not None and _raised_by_machinery(cause):
            cause = cause.__cause__
        if cause is not error:
            sys.stderr.write(f"\n{type(cause).__name__}: {cause}\n")


def _raised_by_machinery(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and any(part in frames[-1].filename for part in _MACHINERY)
