"""Running a bundle as its users do, with networks and images so small that it takes seconds."""

from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fire
import monai.bundle
import torch
from torch import nn

from dwskd_monai.commands.settings import settings as write_settings
from tests.conftest import BUNDLE
from tests.forks import Fork

DIMS, TEACHER_DIMS, DEPTHS = "[8,16,24,32]", "[16,32,48,64]", "[1,1,2,1]"
# The small network as the overrides of pack and export; SMALL_STUDENT and SMALL are options of training
SMALL_SETTINGS = {
    "student": "convnext_atto",
    "network_def#dims": json.loads(DIMS),
    "network_def#depths": json.loads(DEPTHS),
    "image_size": 32,
    "num_workers": 0,
}
SMALL_STUDENT = ("--student", "convnext_atto", "--network_def#dims", DIMS, "--network_def#depths", DEPTHS)
SMALL = (
    *SMALL_STUDENT,
    *("--teacher", "convnext_atto", "--teacher_def#dims", TEACHER_DIMS, "--teacher_def#depths", DEPTHS),
    *("--labeling_teacher#dims", TEACHER_DIMS, "--labeling_teacher#depths", DEPTHS),
    *("--image_size", "32", "--num_workers", "0", "--warmup_epochs", "0", "--ramp_up_epochs", "1"),
    *("--min_steps", "0"),
)
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
SMALL_TEACHER = (
    *("--teacher", "convnext_atto", "--network_def#dims", TEACHER_DIMS, "--network_def#depths", DEPTHS),
    *("--first_weights#dims", TEACHER_DIMS, "--first_weights#depths", DEPTHS),
    *("--image_size", "32", "--num_workers", "0", "--warmup_epochs", "0"),
    *("--min_steps", "0"),
)


def save_network(network: nn.Module, folder: Path, bundle: Path = BUNDLE, **settings: Any) -> Path:
    """A folder of models as a training with these settings leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), folder / "model.pt")
    write_settings(str(bundle), force=True, ckpt_dir=str(folder), **settings)
    return folder


def train_here(folder: Path, dataset_dir: Path, **settings: Any) -> None:
    """Train small networks of random weights in this process; everything is written to ``folder``."""
    small = SMALL_SETTINGS | {
        "dataset_dir": str(dataset_dir),
        "ckpt_dir": str(folder),
        "output_dir": str(folder),
        "cache_dir": None,
        "device": torch.device("cpu"),
        "teacher": "convnext_atto",
        "teacher_weights": "random",
        "teacher_def#dims": json.loads(TEACHER_DIMS),
        "teacher_def#depths": json.loads(DEPTHS),
        "labeling_teacher#dims": json.loads(TEACHER_DIMS),
        "labeling_teacher#depths": json.loads(DEPTHS),
        "warmup_epochs": 0,
        "min_steps": 0,
        "batch_size": 12,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's and torch's own
        monai.bundle.run(run_id="run", config_file=config("train"), **small | settings)
    gc.collect()  # the run ends with its workflow, which refers to itself; until then, its folder is locked


def as_options(settings: Mapping[str, Any]) -> list[str]:
    """Settings as the command line of ``monai.bundle`` has them."""
    return [item for key, value in settings.items() for item in (f"--{key}", json.dumps(value).strip('"'))]


def config(*names: str, bundle: Path = BUNDLE) -> str:
    """The value of ``--config_file`` for configs of a bundle."""
    paths = [str(bundle / "configs" / f"{name}.yaml") for name in names]
    return paths[0] if len(paths) == 1 else str(paths)


def start(*arguments: str | Path, cwd: Path, launcher: tuple[str, ...] = ()) -> Fork | subprocess.Popen[str]:
    """Start ``python -m monai.bundle …``, or the same with a launcher in place of Python."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    kind = Fork if launcher in ((), TORCHRUN) else subprocess.Popen
    with (cwd / "printed.txt").open("w") as printed:
        return kind(
            [*(launcher or (sys.executable,)), "-m", "monai.bundle", *map(str, arguments)],
            cwd=cwd,
            env=environment,
            text=True,
            stdout=printed,
            stderr=subprocess.STDOUT,
        )


def run(*arguments: str | Path, cwd: Path, expect: int = 0, launcher: tuple[str, ...] = ()) -> str:
    """Run ``python -m monai.bundle …`` and return what it printed; its exit code must be 0, or not 0."""
    process = start(*arguments, cwd=cwd, launcher=launcher)
    code = process.wait()
    printed = (cwd / "printed.txt").read_text()
    (cwd / "printed.txt").unlink()
    assert (code == 0) == (expect == 0), printed[-6000:]
    return printed


def run_in_two(*arguments: str | Path, cwd: Path) -> str:
    """Run ``python -m monai.bundle …`` in two processes that work together, as torchrun starts them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    together = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-m", "monai.bundle", *map(str, arguments)]
    with (cwd / "printed.txt").open("w") as printed:
        both = [
            Fork(
                command,
                cwd=cwd,
                env=os.environ | together | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
            for rank in range(2)
        ]
        codes = [process.wait() for process in both]
    said = (cwd / "printed.txt").read_text()
    assert codes == [0, 0], said[-6000:]
    return said


def run_dwskd(*arguments: str | Path, cwd: Path) -> tuple[int, str]:
    """Run ``python -m dwskd_monai …``: its exit code, and what it printed."""
    with (cwd / "printed.txt").open("w") as printed:
        command = [sys.executable, "-m", "dwskd_monai", *map(str, arguments)]
        code = Fork(command, cwd=cwd, stdout=printed, stderr=subprocess.STDOUT).wait()
    return code, (cwd / "printed.txt").read_text()


def run_here(*arguments: str | Path) -> None:
    """The same command in this process, where a process of its own is not the point: importing MONAI takes seconds."""
    words = [*map(str, arguments), "--logging_file", "False"]  # it would change how the tests that follow log
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's and torch's own
        fire.Fire({"run": monai.bundle.run}, command=words)
