"""Check, before a run begins, that it can write to its folders."""

from __future__ import annotations

import tempfile
from pathlib import Path


class UnusableFolderError(OSError):
    """A folder cannot be made or written to. A command ends with exit code 2; no file has the traceback."""

    exit_code = 2


def require_writable(key: str, folder: str | Path) -> None:
    """Refuse a folder that cannot be written to or, if it does not exist yet, cannot be made. It is not made here.

    Args:
        key: the setting that names it, for the message.
        folder: the folder.

    Raises:
        UnusableFolderError: if it is a file, lies below one, or the system does not allow writing there.
    """
    folder = Path(folder)
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    remedy = f"give a folder that you can write to: --{key} DIR"
    if not existing.is_dir():
        where = "is a file" if existing == folder.absolute() else f"is below {existing}, a file"
        raise UnusableFolderError(f"{key}: {folder} {where}; {remedy}")
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        reason = error.strerror or str(error)
        where = "" if existing == folder.absolute() else f"made in {existing}: it cannot be "
        raise UnusableFolderError(f"{key}: {folder} cannot be {where}written to ({reason}); {remedy}") from error
