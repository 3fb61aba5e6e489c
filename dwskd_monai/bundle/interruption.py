"""The message when Ctrl-C ends a run: what is kept, and the command that continues."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet

from monai.bundle import ConfigParser

from dwskd_monai.bundle.monai_command import quoted
from dwskd_monai.files import before_restart_of, partial_of

INTERRUPTED = 130  # exit code: the one that a shell reports for SIGINT
_RESUME = "resume"
_MODULE = ("monai", "bundle", "__main__.py")


_runs: WeakSet[Any] = WeakSet()  # while one of them lives, workers ignore Ctrl-C


def keep_from_workers(run: object) -> None:
    """Let the processes that this one forks, such as a DataLoader's workers, ignore Ctrl-C as long as a run lives.

    A terminal sends Ctrl-C to all of them. This process ends its workers itself; a worker that is just starting or
    ending would print a traceback.
    """
    _runs.add(run)
    _at_forks()


@functools.cache  # once: it cannot be taken back
def _at_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_ignore_in_child)


def _ignore_in_child() -> None:
    if _runs:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def is_interruption(error: BaseException) -> bool:
    """Whether Ctrl-C caused an error, also one that came while the run ended: Ctrl-C ends worker processes too."""
    reason: BaseException | None = error
    seen: set[int] = set()
    while reason is not None and id(reason) not in seen:  # causes may form a circle
        if isinstance(reason, KeyboardInterrupt):
            return True
        seen.add(id(reason))
        reason = reason.__cause__ or reason.__context__
    return False


def said_at_interruption(parser: ConfigParser, since: float) -> str:
    """The message, one line.

    Args:
        parser: of the config that runs.
        since: when the run began, in seconds since the epoch; files of earlier runs do not count.
    """
    if "training_state" in parser and "trained" not in parser:
        return _of_training(parser, since)
    partial = partial_of(_path(parser, "output_dir", "predictions.csv"))
    kept = f"the predictions so far are in {partial}" if _is_newer(partial, since) else "no study was predicted yet"
    return f"stopped by Ctrl-C; {kept}. Start again: {command_again(sys.argv)}"


def _of_training(parser: ConfigParser, since: float) -> str:
    state = _path(parser, "training_state")
    resumed = bool(parser.get_parsed_content(_RESUME)) if _RESUME in parser else False
    if resumed or _is_newer(state, since):
        kept = f"the epochs that were completed are kept in {state}"
        before_restart = before_restart_of(_path(parser, "checkpoint"))
        if before_restart.is_file():
            kept += f", and the best network from before main started again in {before_restart}"
        return f"stopped by Ctrl-C; {kept}. Continue: {command_again(sys.argv, resume=True)}"
    return f"stopped by Ctrl-C before an epoch was completed. Start again: {command_again(sys.argv)}"


def command_again(arguments: Sequence[str], resume: bool = False) -> str:
    """The command of this process, for a shell.

    Args:
        arguments: ``sys.argv``.
        resume: whether the command is to continue a training.
    """
    if tuple(Path(arguments[0]).parts[-3:]) != _MODULE:  # somebody's own program
        return "the same program" + (" with resume=True" if resume else "")
    words = _without_option(arguments[1:], _RESUME) if resume else list(arguments[1:])
    launcher = ["python"]
    if "TORCHELASTIC_RUN_ID" in os.environ:
        launcher = ["torchrun", "--standalone", f"--nproc_per_node={os.environ['LOCAL_WORLD_SIZE']}"]
    options = ["--resume", "true"] if resume else []
    return " ".join([*launcher, "-m", "monai.bundle", *map(quoted, words), *options])


def _without_option(words: Sequence[str], name: str) -> list[str]:
    """Words of a command line without ``--name VALUE`` or ``--name=VALUE``."""
    kept: list[str] = []
    is_value = False
    for word in words:
        if is_value and not word.startswith("--"):
            is_value = False
            continue
        is_value = word == f"--{name}"
        if not is_value and not word.startswith(f"--{name}="):
            kept.append(word)
    return kept


def _path(parser: ConfigParser, key: str, name: str = "") -> Path:
    folder: Any = parser.get_parsed_content(key)
    return Path(str(folder)) / name


def _is_newer(path: Path, since: float) -> bool:
    return path.is_file() and path.stat().st_mtime >= since
