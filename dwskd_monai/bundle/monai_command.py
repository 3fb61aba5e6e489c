"""Runs commands of ``monai.bundle``, for their short forms."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dwskd_monai.bundle.places import PLACES, refuse_number_sign

PATHS = (*PLACES, "teacher_weights")  # which may be a word instead
_VALUES = ("None", "True", "False", "null", "true", "false")


def run_monai(
    bundle: str | Path, configs: Sequence[str], settings: Mapping[str, Any], run_id: str | None = None
) -> None:
    """Print the command that runs configs of a bundle, and run it; this process ends with its exit code.

    Args:
        bundle: its folder.
        configs: names of files in ``configs`` without ``.yaml``, each laid over the one before.
        settings: ids of the configs and their values.
        run_id: the id that is run; None: MONAI's own default, ``run``.

    Raises:
        FileNotFoundError: if a config does not exist.
        SystemExit: if the exit code of the command is not 0.
    """
    command = monai_command(bundle, configs, settings, run_id)
    sys.stdout.write(f"python {' '.join(map(quoted, command))}\n")
    sys.stdout.flush()
    code = _exit_code_of(subprocess.Popen([sys.executable, *command]))
    if code:
        raise SystemExit(code)


def _exit_code_of(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process. Ctrl-C ends it too, but ``subprocess.run`` would kill it before it says what is kept."""
    while True:
        try:
            code = process.wait()
            return code if code >= 0 else 128 - code  # ended by a signal: the code that a shell gives
        except KeyboardInterrupt:
            continue


def monai_command(
    bundle: str | Path, configs: Sequence[str], settings: Mapping[str, Any], run_id: str | None = None
) -> list[str]:
    """The words of the command, without Python; see :func:`run_monai`."""
    refuse_number_sign(Path(bundle))
    files = [Path(bundle) / "configs" / f"{name}.yaml" for name in configs]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"{file} does not exist; give the folder of a bundle, and names of its configs")
    config_file = str(files[0]) if len(files) == 1 else str([str(file) for file in files]).replace(", ", ",")
    words = ["-m", "monai.bundle", "run", *([] if run_id is None else [run_id]), "--config_file", config_file]
    for key, value in settings.items():
        words += [f"--{key}", _word(key, value)]
    return words


def _word(key: str, value: Any) -> str:
    """A value for the command line; a path that could be taken for a number or an expression is made absolute."""
    if not isinstance(value, str):
        return json.dumps(value)
    looks_otherwise = not value[:1].isalpha() or value in _VALUES or any(sign in value for sign in "#,")
    refers = value.startswith(("@", "$", "%"))
    is_new = key in PLACES and value not in _VALUES and not refers  # such as a folder for results
    is_path = key in PATHS and (is_new or Path(value).exists())
    return str(Path(value).expanduser().absolute()) if is_path and looks_otherwise else value


def given(**settings: Any) -> dict[str, Any]:
    """The settings that are not None."""
    return {key: value for key, value in settings.items() if value is not None}


def quoted(word: str) -> str:
    """A word for a shell; a list of files, which has single quotes, is put into double quotes, as people write it."""
    return f'"{word}"' if "'" in word and not set('"$`\\!') & set(word) else shlex.quote(word)
