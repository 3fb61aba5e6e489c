from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from ignite.engine import Engine, Events
from torch import nn

from dwskd_monai.commands.compare import TrainingRecord, record, write_parameters


def train(path: Path, epochs: int, done: int = 0, stop_in: int | None = None, metrics: bool = True) -> None:
    """Epochs of nothing, with a record: continued after ``done`` of them, interrupted in epoch ``stop_in``."""

    def iterate(engine: Engine, batch: int) -> None:
        if engine.state.epoch == stop_in:
            raise InterruptedError

    validator = Engine(lambda engine, batch: None)
    validator.state.metrics = {"balanced_accuracy": 0.75} if metrics else {}
    validator.state.key_metric_name = "balanced_accuracy"
    validator.run = lambda: validator.state.metrics.update(balanced_accuracy=0.5)
    engine = Engine(iterate)
    engine.students = 2
    engine.add_event_handler(Events.STARTED, lambda engine: setattr(engine.state, "epoch", done))
    TrainingRecord(path, validator, SimpleNamespace(best_epoch=2), {"learning_rate": 0.1}).attach(engine)
    engine.run([0], max_epochs=epochs)


@pytest.fixture
def clock(monkeypatch) -> None:
    """Each look at the clock is 1, 2, 4, 8, … seconds after the last."""
    times = iter([2.0**look - 1 for look in range(20)])
    monkeypatch.setattr(record, "time", SimpleNamespace(perf_counter=lambda: next(times)))


def content(path) -> dict:
    return json.loads(path.read_text())


END = {"best_epoch": 2, "last_metric": 0.75, "students": 2, "learning_rate": 0.1}


@pytest.mark.usefixtures("clock")
def test_the_seconds_of_each_epoch_are_written_and_at_the_end_how_it_ended(tmp_path):
    train(tmp_path / "a.json", epochs=3)
    assert content(tmp_path / "a.json") == {"epoch_seconds": [1, 2, 4], **END}


@pytest.mark.usefixtures("clock")
def test_a_training_that_is_continued_keeps_the_epochs_that_it_is_continued_after(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(InterruptedError):
        train(path, epochs=4, stop_in=4)
    assert content(path) == {"epoch_seconds": [1, 2, 4]}
    train(path, epochs=4, done=2)  # the state was saved after the second
    assert content(path) == {"epoch_seconds": [1, 2, 16, 32], **END}


@pytest.mark.usefixtures("clock")
def test_a_training_that_begins_anew_forgets_what_was_recorded_before(tmp_path):
    path = tmp_path / "a.json"
    train(path, epochs=2)
    with pytest.raises(InterruptedError):
        train(path, epochs=2, stop_in=1)
    assert content(path) == {"epoch_seconds": []}


@pytest.mark.usefixtures("clock")
def test_a_training_that_is_continued_after_its_last_epoch_validates_once_more(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(InterruptedError):
        train(path, epochs=3, stop_in=3)
    train(path, epochs=2, done=2, metrics=False)
    assert content(path) == {"epoch_seconds": [1, 2], **END, "last_metric": 0.5}


@pytest.mark.usefixtures("clock")
def test_epochs_without_a_record_are_named(tmp_path, caplog):
    train(tmp_path / "a.json", epochs=3, done=2)
    assert content(tmp_path / "a.json")["epoch_seconds"] == [0, 0, 1]
    assert "epochs 1 to 2 are not timed" in caplog.text


def test_parameters_are_counted_without_buffers(tmp_path):
    write_parameters(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), tmp_path / "network.json")
    assert content(tmp_path / "network.json") == {"parameters": 3 * 2 + 2 + 2 + 2}
