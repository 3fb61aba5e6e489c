"""Runs side by side: processes of this machine, its GPUs, and a Ray cluster."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from dwskd_monai.commands.compare import scheduling
from dwskd_monai.commands.compare.methods import read_methods
from dwskd_monai.commands.compare.running import RunError, execute
from dwskd_monai.commands.compare.runs import Run
from dwskd_monai.commands.compare.scheduling import run_all, shared_gpus
from dwskd_monai.commands.compare.setting import Setting
from tests.commands.compare.command import grid, run, write_methods
from tests.conftest import BUNDLE


@pytest.mark.slow
def test_a_process_that_is_killed_costs_no_run_but_its_own(tmp_path, phantoms):
    own = write_methods(tmp_path)
    more = ("--fractions", "1.0", "--seeds", "0", "--jobs", "2")
    said = run(*grid(phantoms / "train", tmp_path / "out", own, "selection,killed", *more), expect=1)
    assert "killed, fraction 1, fold 0, seed 0: its process was killed (SIGKILL), perhaps because memory" in said
    assert "1 runs failed" in said
    assert pd.read_csv(tmp_path / "out" / "results.csv")["method"].tolist() == ["selection"]


@pytest.mark.slow
def test_two_workers_of_a_ray_cluster_share_the_runs(tmp_path, phantoms):
    own = write_methods(tmp_path)
    more = ("--fractions", "1.0", "--seeds", "0", "--jobs", "2")
    command = grid(phantoms / "train", tmp_path / "out", own, "selection,broken", *more)
    said = run(*command, expect=1, module="tests.commands.compare.on_ray")
    assert "1 runs failed" in said
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert table[["method", "seed"]].values.tolist() == [["selection", 0]]


def make_job() -> scheduling.Job:
    return Run(read_methods()["selection"], 1.0, 0, 0), None


@pytest.mark.parametrize(("gpus", "runs", "expected"), [(2, 2, "01"), (2, 5, "01010"), (3, 2, "012")])
def test_gpus_are_shared_out(monkeypatch, gpus, runs, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    queue = shared_gpus(runs)
    assert [queue.get() for _ in expected] == list(expected)
    assert queue.empty()


def test_only_gpus_that_the_command_may_see_are_shared_out(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5d")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    queue = shared_gpus(3)
    assert [queue.get() for _ in range(3)] == ["3", "GPU-5d", "3"]


@pytest.mark.parametrize("gpus", [0, 1])
def test_one_device_needs_no_sharing(monkeypatch, gpus):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert shared_gpus(4) is None


@pytest.mark.parametrize("error", [None, RunError("torn")])
def test_a_gpu_is_given_back_whatever_happens(monkeypatch, tmp_path, error):
    used = []

    def execute(run: Run, setting: Setting, needed: Path | None, gpu: str | None) -> None:
        used.append(gpu)
        if error is not None:
            raise error

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(scheduling, "execute", execute)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    setting = Setting(Path("bundle"), Path("data"), tmp_path)
    with scheduling._this_machine(2) as place:
        reasons = [place.attempt(make_job(), setting) for _ in range(3)]
    assert used == ["0", "1", "0"]
    assert reasons == [None if error is None else "torn"] * 3


def test_an_interrupted_grid_begins_no_further_run(monkeypatch, tmp_path):
    begun = []

    def execute(run: Run, *_: object) -> None:
        begun.append(run.seed)
        raise KeyboardInterrupt

    monkeypatch.setattr(scheduling, "execute", execute)
    jobs = [(Run(read_methods()["selection"], 1.0, 0, seed), None) for seed in range(50)]
    with pytest.raises(KeyboardInterrupt):
        run_all(jobs, Setting(Path("bundle"), Path("data"), tmp_path))
    assert len(begun) < 50


def test_a_run_that_another_command_finished_is_left_as_it_is(tmp_path):
    setting = Setting(BUNDLE, Path("data"), tmp_path)
    run, _ = make_job()
    folder = tmp_path / run.folder
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(json.dumps(setting.identity(run)))
    (folder / "result.json").write_text("{}")
    execute(run, setting)
    assert (folder / "result.json").read_text() == "{}"


def test_without_ray_the_message_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    setting = Setting(Path("bundle"), Path("data"), tmp_path)
    with pytest.raises(ValueError, match=r"pip install 'dwskd_monai\[cluster\]'"):
        run_all([make_job()], setting, ray_address="auto")
