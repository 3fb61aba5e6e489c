"""Running ``python -m dwskd_monai compare`` as its users do, with networks so small that a run takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from tests.bundles.commands import SMALL
from tests.conftest import BUNDLE, REPOSITORY
from tests.forks import Fork

# The teacher has other options than the students, so it is declared anew; `broken` is what a typing error does, and
# `killed` what the system does when memory runs out.
OWN_METHODS = """
teacher:
  description: a teacher that is small enough for a test
  configs: [train.yaml, train_teacher.yaml]
  overrides:
    network_def#dims: [16, 32, 48, 64]
    first_weights#dims: [16, 32, 48, 64]
    first_weights#depths: [1, 1, 2, 1]
selection_kd:
  description: distillation from it
  needs: teacher
  overrides:
    auxiliary: frozen
    first_weights#auxiliary: null
    auxiliary_def#dims: [16, 32, 48, 64]
    auxiliary_def#checkpoint_path: "@needed_weights"
broken:
  description: a temperature below zero
  overrides: {temperature: -1.0}
killed:
  description: a process that is killed
  overrides: {temperature: "$__import__('os').kill(__import__('os').getpid(), 9)"}
"""


def write_methods(folder: Path) -> Path:
    path = folder / "own.yaml"
    path.write_text(OWN_METHODS)
    return path


def grid(data: Path, out: Path, own: Path, methods: str, *more: str, epochs: int = 2) -> list[str]:
    """Arguments of a small grid."""
    return [
        *("--bundle", str(BUNDLE), "--dataset_dir", str(data), "--out", str(out), "--methods_file", str(own)),
        *("--methods", methods, "--teacher_weights", "random", *SMALL),
        *("--max_epochs", str(epochs), "--distillation_epochs", str(epochs - 1), *more),
    ]


def start(*arguments: str | Path, printed: IO[str], module: str = "dwskd_monai") -> Fork:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    return Fork(
        [sys.executable, "-m", module, "compare", *map(str, arguments)],
        env=environment,
        cwd=REPOSITORY,
        stdout=printed,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def run(*arguments: str | Path, expect: int = 0, module: str = "dwskd_monai") -> str:
    """What the command printed; it must end with the code that is expected."""
    with tempfile.TemporaryFile("w+") as printed:
        code = start(*arguments, printed=printed, module=module).wait()
        printed.seek(0)
        said = printed.read()
    assert code == expect, said[-6000:]
    return said
