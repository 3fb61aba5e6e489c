"""Runs side by side: processes of this machine, its GPUs, and a Ray cluster."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pandas as pd
import pytest
import torch

from dwskd_monai.commands.compare import scheduling
from dwskd_monai.commands.compare.cells import Cell, Setting
from dwskd_monai.commands.compare.methods import read_methods
from dwskd_monai.commands.compare.running import CellError, run_cell
from tests.commands.compare.command import grid, run, write_methods
from tests.conftest import BUNDLE, REPOSITORY

# A head and another node, one processor each; the cluster ends with the process that made it.
ON_RAY = """
import sys
from ray.cluster_utils import Cluster
from dwskd_monai.cli import main

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
try:
    main([*sys.argv[1:], "--ray_address", cluster.address])
finally:
    cluster.shutdown()
"""


def test_a_process_that_is_killed_costs_no_run_but_its_own(tmp_path, phantoms):
    own = write_methods(tmp_path)
    more = ("--fractions", "1.0,0.5", "--seeds", "0", "--jobs", "2")
    said = run(*grid(phantoms / "train", tmp_path / "out", own, "selection,killed,scratch", *more), expect=1)
    assert "killed, fraction 1, fold 0, seed 0: its process, or one beside it, was killed, perhaps for want of" in said
    finished = pd.read_csv(tmp_path / "out" / "results.csv").groupby("method").size()
    again = run(*grid(phantoms / "train", tmp_path / "out", own, "selection,scratch", *more))
    assert "failed" not in again, "what was beside it is run by the same command"
    assert finished.sum() >= 2
    assert pd.read_csv(tmp_path / "out" / "results.csv").groupby("method").size().to_dict() == {
        "selection": 2, "scratch": 2,
    }  # fmt: skip


def test_two_workers_of_a_ray_cluster_share_the_runs(tmp_path, phantoms):
    own = write_methods(tmp_path)
    more = ("--fractions", "1.0", "--seeds", "0,1", "--jobs", "2")
    arguments = grid(phantoms / "train", tmp_path / "out", own, "selection,broken", *more)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", ON_RAY, "compare", *arguments], cwd=REPOSITORY, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout[-6000:]
    assert "2 runs failed" in done.stdout
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert table[["method", "seed"]].values.tolist() == [["selection", 0], ["selection", 1]]


@pytest.mark.parametrize(("gpus", "processes", "expected"), [(2, 2, "01"), (2, 5, "01010"), (3, 2, "012")])
def test_gpus_are_shared_out(monkeypatch, gpus, processes, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with scheduling._shared_devices(processes) as devices:
        assert [devices.get() for _ in expected] == [f"cuda:{index}" for index in expected]
        assert devices.empty()


@pytest.mark.parametrize("gpus", [0, 1])
def test_one_device_needs_no_sharing(monkeypatch, gpus):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with scheduling._shared_devices(4) as devices:
        assert devices is None


@pytest.mark.parametrize("error", [None, CellError("torn")])
def test_a_device_is_given_back_whatever_happens(monkeypatch, tmp_path, error):
    used = []

    def run_cell(cell: Cell, setting: Setting, needed: Path | None, device: str | None) -> None:
        used.append(device)
        if error is not None:
            raise error

    monkeypatch.setattr(scheduling, "run_cell", run_cell)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    setting = Setting(Path("bundle"), Path("data"), tmp_path)
    cell = Cell(read_methods()["selection"], 1.0, 0, 0)
    with scheduling._shared_devices(2) as devices:
        results = [scheduling._attempt((cell, None), setting, devices) for _ in range(3)]
    assert used == ["cuda:0", "cuda:1", "cuda:0"]
    assert results == [(cell, None if error is None else "torn")] * 3


class Said(logging.Handler):
    """Sets an event once the text is logged."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.event = text, Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.text in record.getMessage():
            self.event.set()


def test_a_second_command_waits_for_a_run_that_the_first_is_at(monkeypatch, tmp_path):
    setting = Setting(Path("bundle"), Path("data"), tmp_path)
    cell = Cell(read_methods()["selection"], 1.0, 0, 0)
    said, events = Said("another command runs it; waiting"), []
    second = Thread(target=lambda: scheduling.run_cells([(cell, None)], setting))

    def run_cell(cell: Cell, setting: Setting, needed: Path | None, device: str | None) -> None:
        events.append("begun")
        if len(events) == 1:
            second.start()
            events.append("waiting" if said.event.wait(60) else "not waiting")
        events.append("ended")

    monkeypatch.setattr(scheduling, "run_cell", run_cell)
    monkeypatch.setattr(scheduling._logger, "handlers", [said])
    scheduling.run_cells([(cell, None)], setting)
    second.join()
    assert events == ["begun", "waiting", "ended", "begun", "ended"]


def test_a_run_that_another_command_finished_is_left_as_it_is(tmp_path):
    setting = Setting(BUNDLE, Path("data"), tmp_path)
    cell = Cell(read_methods()["selection"], 1.0, 0, 0)
    folder = tmp_path / cell.folder
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(json.dumps(setting.identity(cell)))
    (folder / "result.json").write_text("{}")
    run_cell(cell, setting)
    assert (folder / "result.json").read_text() == "{}"


def test_without_ray_the_message_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    setting = Setting(Path("bundle"), Path("data"), tmp_path)
    cell = Cell(read_methods()["selection"], 1.0, 0, 0)
    with pytest.raises(ValueError, match=r"pip install 'dwskd_monai\[cluster\]'"):
        scheduling.run_cells([(cell, None)], setting, ray_address="auto")
