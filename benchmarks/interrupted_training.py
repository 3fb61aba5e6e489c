"""Kill a training at random moments, continue each one, and compare what comes out with one that was not killed.

    python benchmarks/interrupted_training.py --kills 50 --seed 0 --out benchmarks/results/interrupted_training.csv

One small training on phantoms is run to its end. Then it is started as often as asked, killed by SIGKILL, and continued
with ``--resume true``. Half of the kills come at a moment that is uniform over the time from the first file to the end
of a training, the others while it writes a file. After each kill all files that are there are loaded. At the end all
tensors of ``model.pt`` and ``training_state.pt`` are compared bit by bit.

The command is that of a user, ``python -m monai.bundle run training``. To save the seconds in which Python imports
torch and MONAI, most runs are forks of this process; each fifth is a process of its own.
"""

from __future__ import annotations

import csv
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

import fire
import monai.bundle  # noqa: F401  forks have it then
import torch
from torch import Tensor

from dwskd_monai import checkpoints
from dwskd_monai.bundle.settings_file import read_settings
from dwskd_monai.data.phantoms import make_phantoms
from dwskd_monai.files import previous_of

CONFIG = Path(__file__).parents[1] / "bundles" / "chest_xray_classification" / "configs" / "train.yaml"
TEACHER, STUDENT = "[16,32,48,64]", "[8,16,24,32]"
DEPTHS = "[1,1,2,1]"
SETTINGS = {
    "teacher": "convnext_atto", "teacher_weights": "random", "teacher_def#dims": TEACHER, "teacher_def#depths": DEPTHS,
    "student": "convnext_atto", "network_def#dims": STUDENT, "network_def#depths": DEPTHS, "image_size": "32",
    "max_epochs": "6", "min_steps": "0", "warmup_epochs": "1", "ramp_up_epochs": "1", "distillation_epochs": "4",
    "independent_epochs": "1", "num_workers": "0",
}  # fmt: skip
STATE = "training_state.pt"


@dataclass
class Kill:
    """One row of the table."""

    number: int
    process: str  # fork, or one of its own
    moment: str  # time, or write
    seconds: float  # from the first file until the kill
    epochs: int  # in the state that it left
    files: int  # that were there
    loadable: bool
    bit_equal: bool


class Training:
    """The training in a folder of its own."""

    def __init__(self, folder: Path, images: Path) -> None:
        self.folder = folder
        self.models = folder / "models"
        places = {"ckpt_dir": self.models, "output_dir": folder / "out", "cache_dir": folder / "cache"}
        options = {**SETTINGS, **places, "dataset_dir": images}
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        self._command = ["run", "training", "--config_file", str(CONFIG), *words]
        folder.mkdir()

    def start(self, fork: bool, resume: bool = False) -> int:
        """Start it and return the process id."""
        command = [*self._command, *(["--resume", "true"] if resume else [])]
        log = (self.folder / "log.txt").open("a")
        if not fork:
            return subprocess.Popen([sys.executable, "-m", "monai.bundle", *command], stdout=log, stderr=log).pid
        process = os.fork()
        if process == 0:
            _run_here(command, log.fileno())
        return process

    def state_is_there(self) -> bool:
        """Whether there is something to continue from."""
        return any((self.models / name).is_file() for name in (STATE, previous_of(STATE)))

    def tensors(self) -> dict[str, Tensor]:
        """All tensors of the network and the state at the end."""
        return {
            f"{file} {name}": value
            for file in ("model.pt", STATE)
            for name, value in _tensors(torch.load(self.models / file, weights_only=True))
        }


def _run_here(command: list[str], log: int) -> None:
    """The command in this process, a fork, which ends with it."""
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["monai.bundle", *command]
    code = 0
    try:
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
    except BaseException:
        sys.__excepthook__(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _tensors(part, f"{name}.{key}")


def _watch(process: int, training: Training, after: float | None = None, writes: int | None = None) -> float | None:
    """Kill a process some seconds after its first file, or while it writes the file of a number.

    Returns:
        Seconds from its first file to its kill, or to its end if it is not to be killed; None if it ended before.

    Raises:
        RuntimeError: if it failed.
    """
    first: float | None = None
    seen: set[str] = set()
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if status:
            raise RuntimeError(f"a training failed:\n{(training.folder / 'log.txt').read_text()[-3000:]}")
        passed = 0.0 if first is None else time.monotonic() - first
        if ended:
            return passed if after is None and writes is None else None
        seen |= {file.name for file in training.models.glob(".*.tmp")}
        if seen and first is None:
            first = time.monotonic()
        late = after is not None and first is not None and passed >= after
        if late or (writes is not None and len(seen) >= writes):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return passed
        time.sleep(0.0005)


def _load_all(training: Training) -> int:
    """Load each file that is there, and the settings of the network; returns their number."""
    files = sorted(training.models.glob("[!.]*.pt"))
    for file in files:
        checkpoints.load(file)
    if training.models.joinpath("model.pt").is_file():
        read_settings(training.models / "model.pt")
    return len(files)


def _killed(number: int, folder: Path, images: Path, seconds: float, draw: random.Random) -> tuple[Kill, Training]:
    """A training that was killed, and has been continued to its end."""
    fork = number % 5 != 0
    moment = "time" if number % 2 else "write"
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        training = Training(folder, images)
        after = draw.uniform(0, seconds) if moment == "time" else None
        writes = draw.randint(1, 14) if moment == "write" else None
        passed = _watch(training.start(fork), training, after, writes)
        if passed is not None:
            break
    epochs = 0
    loadable = True
    try:
        files = _load_all(training)
        if (training.models / STATE).is_file():
            epochs = checkpoints.load(training.models / STATE)["trainer"]["epoch"]
    except (OSError, ValueError) as error:
        sys.stdout.write(f"{error}\n")
        loadable = False
    _watch(training.start(fork, resume=training.state_is_there()), training)
    process = "fork" if fork else "own"
    return Kill(number, process, moment, round(passed, 2), epochs, files, loadable, False), training


def main(kills: int = 50, seed: int = 0, out: str = "benchmarks/results/interrupted_training.csv") -> None:
    """Kill and continue trainings, print a table, and write it as CSV.

    Args:
        kills: how many trainings.
        seed: of the moments.
        out: CSV file.
    """
    torch.set_num_threads(1)
    draw = random.Random(seed)
    rows: list[Kill] = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        images = work / "images"
        make_phantoms("chest_xray", images, count=60)
        whole = Training(work / "whole", images / "train")
        seconds = _watch(whole.start(fork=True), whole)
        assert seconds is not None
        expected = whole.tensors()
        sys.stdout.write(f"a training takes {seconds:.1f} s from its first file and leaves {len(expected)} tensors\n")
        for number in range(1, kills + 1):
            kill, training = _killed(number, work / "killed", images / "train", seconds, draw)
            got = training.tensors()
            kill.bit_equal = got.keys() == expected.keys() and all(_same(got[key], expected[key]) for key in expected)
            rows.append(kill)
            sys.stdout.write(f"{kill}\n")
            sys.stdout.flush()
    with Path(out).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(map(asdict, rows))
    loadable, equal = (sum(getattr(row, name) for row in rows) for name in ("loadable", "bit_equal"))
    sys.stdout.write(f"bit-equal: {equal} of {kills}; loadable after the kill: {loadable} of {kills}\n")


def _same(one: Tensor, two: Tensor) -> bool:
    """Bit by bit: torch.equal takes -0 for 0, and NaN for another value than itself."""
    return one.dtype == two.dtype and one.shape == two.shape and one.numpy().tobytes() == two.numpy().tobytes()


if __name__ == "__main__":
    fire.Fire(main)
