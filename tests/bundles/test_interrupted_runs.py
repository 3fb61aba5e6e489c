"""Runs that are ended from outside, as their users see them."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import timm
import torch

from tests.bundles import processes
from tests.bundles.commands import SMALL, SMALL_SETTINGS, TORCHRUN, config, run, save_network
from tests.conftest import BUNDLE
from tests.forks import Fork

pytestmark = pytest.mark.slow

TRAINING = ("run", "training", "--config_file", config("train"), "--teacher_weights", "random", "--max_epochs", "500")


def _take_ctrl_c() -> None:
    """A shell lets the commands that it runs in the background ignore Ctrl-C, and they theirs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def start(command: list[str | Path], cwd: Path, forked: bool = True) -> Fork | subprocess.Popen[bytes]:
    """Start a command as a shell does: Ctrl-C reaches it and the processes that it starts."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    with (cwd / "printed.txt").open("w") as printed:
        return (Fork if forked else functools.partial(subprocess.Popen, preexec_fn=_take_ctrl_c))(
            [sys.executable, *map(str, command)],
            cwd=cwd,
            env=environment,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_for(path: Path, process: Fork | subprocess.Popen[bytes]) -> None:
    while not path.exists():
        assert process.poll() is None, (path.parent / "printed.txt").read_text()[-4000:]
        time.sleep(0.02)


def ended(process: Fork | subprocess.Popen[bytes], cwd: Path) -> tuple[int, list[str]]:
    """The exit code, and what was printed after the lines of the log."""
    code = process.wait()
    lines = (cwd / "printed.txt").read_text().splitlines()
    last_of_log = max(number for number, line in enumerate(lines) if " INFO " in line or "parsing config" in line)
    return code, [line for line in lines[last_of_log + 1 :] if line]


def workers_of(process: Fork | subprocess.Popen[bytes]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children]


@pytest.mark.parametrize("command", ["monai.bundle", "dwskd"])
def test_ctrl_c_in_a_training_ends_with_one_line_with_the_command_that_continues(phantoms, tmp_path, command):
    options = ["--ckpt_dir", tmp_path, "--output_dir", tmp_path, "--cache_dir", tmp_path / "cache", *SMALL]
    options += ["--num_workers", "2"]
    if command == "dwskd":
        words = ["-m", "dwskd_monai", "train", BUNDLE, phantoms, *TRAINING[4:], *options]
    else:
        words = ["-m", "monai.bundle", *TRAINING, "--dataset_dir", phantoms, *options]
    # one of them is Python itself: what it says while it takes its modules apart would show too
    process = start(words, tmp_path, forked=command == "dwskd")
    wait_for(tmp_path / "training_state.pt", process)
    os.killpg(process.pid, signal.SIGINT)
    code, last = ended(process, tmp_path)
    assert code == 130
    assert len(last) == 1, last
    kept = f"stopped by Ctrl-C; the epochs that were completed are kept in {tmp_path}/training_state.pt. Continue: "
    assert last[0].startswith(f"{kept}python -m monai.bundle run training --config_file ")
    assert last[0].endswith(" --resume true")


def test_ctrl_c_in_inference_says_where_the_predictions_so_far_are(phantoms, tmp_path):
    dims, depths = SMALL_SETTINGS["network_def#dims"], SMALL_SETTINGS["network_def#depths"]
    network = timm.create_model("convnext_atto", in_chans=1, num_classes=3, dims=dims, depths=depths)
    models = save_network(network, tmp_path / "models", **SMALL_SETTINGS)
    images = tmp_path / "images"
    images.mkdir()
    picture = next((phantoms / "test").rglob("*.png"))
    for number in range(5000):
        shutil.copyfile(picture, images / f"{number}.png") if not number else os.link(
            images / "0.png", images / f"{number}.png"
        )
    options = ["--dataset_dir", images, "--ckpt_dir", models, "--output_dir", tmp_path, "--batch_size", "1"]
    process = start(["-m", "monai.bundle", "run", "--config_file", config("inference"), *options], tmp_path)
    partial = tmp_path / "predictions.partial.csv"
    wait_for(partial, process)
    os.killpg(process.pid, signal.SIGINT)
    code, last = ended(process, tmp_path)
    assert code == 130
    assert len(last) == 1, last
    assert last[0].startswith(f"stopped by Ctrl-C; the predictions so far are in {partial}. Start again: python -m ")


def test_a_killed_worker_process_is_one_line_with_what_to_do(phantoms, tmp_path):
    options = ["--ckpt_dir", tmp_path, "--output_dir", tmp_path, "--cache_dir", tmp_path / "cache", *SMALL]
    process = start(
        ["-m", "monai.bundle", *TRAINING, "--dataset_dir", phantoms, *options, "--num_workers", "2"], tmp_path
    )
    wait_for(tmp_path / "training_state.pt", process)
    while process.poll() is None:  # a worker that has given all it had is not missed
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            for worker in workers_of(process)[:1]:
                os.kill(worker, signal.SIGKILL)
        time.sleep(0.1)
    code, last = ended(process, tmp_path)
    assert code == 2
    assert len(last) < 20, "where Python was starting a thread, it tells ten lines about that"
    assert last[-2].startswith("The traceback is in ")
    assert last[-1].startswith("error: a worker process was ended from outside, most often because memory ran out.")
    assert "--num_workers 0 (now 2)" in last[-1]


def test_a_process_that_stands_still_is_named_and_all_end(phantoms, tmp_path):
    shutil.copy(processes.__file__, tmp_path)
    printed = run(
        *("run", "training", "--config_file", config("train", "multi_gpu_train"), "--backend", "gloo"),
        *("--dataset_dir", phantoms, "--teacher_weights", "random", "--max_epochs", "2", "--independent_epochs", "1"),
        *("--distillation_term#_target_", "processes.Freezing"),
        *("--ckpt_dir", tmp_path, "--output_dir", tmp_path / "out", "--timeout_minutes", "0.25", *SMALL),
        cwd=tmp_path,
        expect=2,
        launcher=TORCHRUN,
    )
    errors = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, printed[-6000:]
    assert re.match(r"error: process 1 \(\S+, pid \d+\) did not answer within --timeout_minutes", errors[0])
    assert torch.load(tmp_path / "training_state.pt", weights_only=True)["trainer"]["epoch"] == 1, "the last good one"
