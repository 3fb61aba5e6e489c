"""What an earlier training left in a folder is kept when another one begins there."""

from __future__ import annotations

import filecmp
import logging
import os
import shutil
from pathlib import Path

from dwskd_monai.bundle.settings_file import settings_beside
from dwskd_monai.files import before_restart_of, next_of, previous_of, replacing

EARLIER = "earlier"
_logger = logging.getLogger(__name__)


def keep_earlier_training(checkpoint: str | Path, training_state: str | Path, resume: bool = False) -> None:
    """Copy the files of an earlier training to ``earlier/1``, ``earlier/2``, … beside its network.

    Each of these folders is a ``ckpt_dir``: its network can be used, and its training continued. They are copies,
    because the new training may start from the network, or end before it has replaced anything.

    Args:
        checkpoint: the network that the training will write, with its settings beside it.
        training_state: the file that it will write to be continued from.
        resume: whether it continues the earlier training; nothing of that is lost then.

    Raises:
        DiskFullError: if there is no space for the copies.
    """
    if resume or os.environ.get("RANK", "0") != "0":
        return
    checkpoint = Path(checkpoint)
    settings = settings_beside(checkpoint)
    forgotten = before_restart_of(checkpoint)
    networks = (checkpoint, settings, next_of(settings), forgotten, settings_beside(forgotten))
    candidates = (*networks, Path(training_state), previous_of(training_state))
    files = [file for file in candidates if file.is_file()]
    folder = checkpoint.parent / EARLIER
    numbers = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()]
    last = max(numbers, default=0)
    if not files or _are_in(folder / str(last), files):
        return
    kept = folder / str(last + 1)
    for file in files:
        with replacing(kept / file.name) as temporary:
            shutil.copy2(file, temporary)
    size = sum(file.stat().st_size for file in files) / 1e6
    _logger.info(
        "an earlier training is in %s: it is kept in %s (%.1f MB). To continue it: --resume true --ckpt_dir %s",
        checkpoint.parent, kept, size, kept,
    )  # fmt: skip


def _are_in(folder: Path, files: list[Path]) -> bool:
    """Whether files were copied before, by a training that then changed nothing; copies keep the file's time."""
    copies = [folder / file.name for file in files]
    return all(copy.is_file() and filecmp.cmp(copy, file) for copy, file in zip(copies, files, strict=True))
