from __future__ import annotations

import errno
import logging
import math
import os
import resource
import signal
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator
from monai.handlers import LrScheduleHandler, ValidationHandler
from torch import nn

from dwskd_monai import checkpoints
from dwskd_monai.files import DiskFullError
from dwskd_monai.training import (
    BestModelSaver,
    BetterStudentHandler,
    DeployedModelHandler,
    EpochLogHandler,
    EpochSeedHandler,
    LastEpochHandler,
    NonFiniteLossHandler,
    TrainingStateHandler,
)
from tests.training.test_trainer import BATCHES, Student, make_batches, make_trainer


class StubEvaluator(SupervisedEvaluator):
    """An evaluator whose key metric is given for each epoch."""

    def __init__(self, network: nn.Module, metrics: dict[int, float], handlers=()) -> None:
        super().__init__("cpu", val_data_loader=make_batches(count=1), network=network, decollate=False)
        self.state.key_metric_name = "quality"
        self.evaluated: list[int] = []
        self.add_event_handler(Events.EPOCH_COMPLETED, self._measure, metrics)
        for handler in handlers:
            handler.attach(self)

    def _measure(self, engine: SupervisedEvaluator, metrics: dict[int, float]) -> None:
        self.evaluated.append(engine.state.epoch)
        engine.state.metrics["quality"] = metrics[engine.state.epoch]


@pytest.mark.parametrize(
    ("interval", "validated"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (3, [3, 5]), (5, [5]), (9, [5])]
)
def test_the_last_epoch_is_validated_once_whatever_the_interval(interval, validated):
    trainer = make_trainer(auxiliary="mutual", max_epochs=5)
    measured = dict.fromkeys(range(1, 6), 0.5)
    main, auxiliary = (StubEvaluator(network, measured) for network in (trainer.network, trainer.auxiliary_network))
    ValidationHandler(interval, main).attach(trainer)
    LastEpochHandler(main, interval).attach(trainer)
    BetterStudentHandler(main, auxiliary, interval).attach(trainer)
    trainer.run()
    assert main.evaluated == auxiliary.evaluated == validated


@pytest.mark.parametrize(
    ("metrics", "best_epoch"),
    [([0.5, 0.7, 0.6], 2), ([math.nan, 0.2, 0.1], 2), ([0.4, 0.4], 1), ([0.3, math.nan], 1), ([0.0, 0.0], 1)],
)
def test_best_model_saver_keeps_the_first_best(tmp_path, metrics, best_epoch):
    path = tmp_path / "models" / "model.pt"
    network = Student()
    saver = BestModelSaver(path)
    evaluator = StubEvaluator(network, dict(enumerate(metrics, 1)), [saver])
    for epoch in range(1, len(metrics) + 1):
        nn.init.constant_(network.fc.bias, epoch)
        evaluator.run(epoch)
    saved = torch.load(path, weights_only=True)
    assert saver.best_epoch == best_epoch
    assert saved["fc.bias"].tolist() == [best_epoch] * 3
    assert [file.name for file in path.parent.iterdir()] == ["model.pt"]


class StubRecord:
    """Remembers from which networks the training starts."""

    def __init__(self) -> None:
        self.starts: list[Path] = []

    def start_from(self, weights: Path) -> None:
        self.starts.append(weights)


def train_from(network: nn.Module, path: Path, evaluator: StubEvaluator) -> list[Path]:
    """Two epochs, with the handlers of train.yaml; the files that the record is told to start from."""
    record = StubRecord()
    make_trainer(
        auxiliary="none",
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        max_epochs=2,
        train_handlers=[ValidationHandler(1, evaluator), DeployedModelHandler(path, evaluator, record)],
    ).run()
    return record.starts


@pytest.mark.parametrize(("metrics", "kept"), [([0.5, 0.4, 0.5], True), ([0.5, 0.6, 0.4], False)])
def test_training_that_starts_from_the_deployed_network_keeps_it_unless_it_finds_a_better_one(tmp_path, metrics, kept):
    path = tmp_path / "model.pt"
    network = Student()
    deployed = {name: value.clone() for name, value in network.state_dict().items()}
    torch.save(deployed, path)
    evaluator = StubEvaluator(network, dict(enumerate(metrics)), [BestModelSaver(path)])
    assert train_from(network, path, evaluator) == [path]
    assert evaluator.evaluated == [0, 1, 2]
    saved = torch.load(path, weights_only=True)
    assert all(torch.equal(saved[name], deployed[name]) for name in deployed) == kept


@pytest.mark.parametrize("content", ["nothing", "other weights", "another network", "damaged"])
def test_training_that_starts_from_other_weights_validates_after_its_first_epoch(tmp_path, content):
    path = tmp_path / "model.pt"
    network = Student()
    if content == "other weights":
        torch.save(Student().state_dict(), path)
    elif content == "another network":
        torch.save({"fc.bias": network.fc.bias.detach()}, path)
    elif content == "damaged":
        path.write_bytes(b"PK damaged")
    evaluator = StubEvaluator(network, {1: 0.1, 2: 0.1})
    assert train_from(network, path, evaluator) == []
    assert evaluator.evaluated == [1, 2]


def test_best_model_saver_refuses_weights_that_are_not_finite(tmp_path):
    network = Student()
    nn.init.constant_(network.fc.bias, math.nan)
    with pytest.raises(FloatingPointError, match="weights of fc.bias are not finite"):
        StubEvaluator(network, {1: 0.9}, [BestModelSaver(tmp_path / "model.pt")]).run(1)
    assert not (tmp_path / "model.pt").exists()


def test_the_best_of_two_evaluators_is_saved(tmp_path):
    main, auxiliary = Student(), Student()
    saver = BestModelSaver(tmp_path / "model.pt")
    StubEvaluator(main, {1: 0.5}, [saver]).run(1)
    StubEvaluator(auxiliary, {1: 0.6}, [saver]).run(1)
    assert torch.equal(torch.load(tmp_path / "model.pt", weights_only=True)["fc.weight"], auxiliary.fc.weight)


class Fit:
    """Evidence that counts how often it is fitted."""

    def __init__(self) -> None:
        self.fits = 0
        self.evaluators: list[object] = []

    def attach(self, engine: object) -> None:
        self.evaluators.append(engine)

    def fit(self) -> dict[str, int]:
        self.fits += 1
        return {"fit": self.fits}


class Written:
    """A record that keeps what was written."""

    def __init__(self) -> None:
        self.evidence: list[object] = []

    def file_of(self, weights: Path) -> Path:
        return weights.with_suffix(".yaml")

    def write(self, file: Path, weights: Path, best: object, evidence: object) -> None:
        file.write_text(str(evidence))
        self.evidence.append(evidence)


def test_evidence_is_fitted_to_each_network_that_is_saved_and_to_no_other(tmp_path):
    network, fit, written = Student(), Fit(), Written()
    saver = BestModelSaver(tmp_path / "model.pt", written, fit)
    evaluator = StubEvaluator(network, {1: 0.5, 2: 0.4, 3: 0.6, 4: math.nan}, [saver])
    assert fit.evaluators == [evaluator]
    for epoch in range(1, 5):
        nn.init.constant_(network.fc.bias, epoch)
        evaluator.run(epoch)
    assert written.evidence == [{"fit": 1}, {"fit": 2}]
    assert (tmp_path / "model.yaml").read_text() == "{'fit': 2}"


def test_the_deployed_network_keeps_its_evidence_until_a_better_one_has_its_own(tmp_path):
    network, fit, written = Student(), Fit(), Written()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    saver = BestModelSaver(tmp_path / "model.pt", written, fit)
    evaluator = StubEvaluator(network, {0: 0.5, 1: 0.4, 2: 0.6}, [saver])
    for epoch in range(2):
        evaluator.run(epoch)
    assert written.evidence == []
    evaluator.run(2)
    assert written.evidence == [{"fit": 2}]


def test_a_loss_that_is_not_finite_stops_before_the_weights_change():
    batches = make_batches()
    batches[2]["image"][0, 0, 0, 0] = math.nan
    trainer = make_trainer(auxiliary="none", train_data_loader=batches, train_handlers=[NonFiniteLossHandler()])
    before = []
    trainer.add_event_handler(
        Events.ITERATION_STARTED, lambda engine: before.append(engine.network.fc.weight.detach().clone())
    )
    with pytest.raises(FloatingPointError, match="loss became nan in epoch 1, iteration 3"):
        trainer.run()
    assert torch.equal(trainer.network.fc.weight, before[2])


def test_the_auxiliarys_loss_is_watched_too():
    batches = make_batches()
    for batch in batches:
        batch["image_auxiliary"][0, 0, 0, 0] = math.inf
    trainer = make_trainer(
        auxiliary="mutual", views="two", train_data_loader=batches, train_handlers=[NonFiniteLossHandler()]
    )
    with pytest.raises(FloatingPointError, match="in epoch 1, iteration 1"):
        trainer.run()


@pytest.mark.parametrize(
    ("auxiliary", "deploy", "main_metric", "auxiliary_metric", "promoted"),
    [
        ("mutual", "better", 0.5, 0.6, True),
        ("mutual", "better", 0.6, 0.5, False),
        ("mutual", "better", 0.5, 0.5, False),
        ("mutual", "main", 0.5, 0.6, False),
        ("mutual", "both", 0.5, 0.6, False),
        ("ema", "better", 0.5, 0.6, True),
        ("ema", "main", 0.5, 0.6, False),
        ("frozen", "better", 0.5, 0.6, False),
    ],
)
def test_the_better_student_goes_on_after_distillation(
    monkeypatch, auxiliary, deploy, main_metric, auxiliary_metric, promoted
):
    epochs = 4 if deploy == "both" else 3  # both learn to the end
    trainer = make_trainer(auxiliary=auxiliary, deploy=deploy, max_epochs=4, distillation_epochs=epochs)
    validator = StubEvaluator(trainer.network, dict.fromkeys(range(1, 5), main_metric))
    auxiliary_validator = StubEvaluator(trainer.auxiliary_network, dict.fromkeys(range(1, 5), auxiliary_metric))
    BetterStudentHandler(validator, auxiliary_validator, interval=2).attach(trainer)
    promotions = []
    monkeypatch.setattr(trainer, "promote_auxiliary", lambda: promotions.append(trainer.state.epoch))
    trainer.run()
    assert promotions == ([3] if promoted else [])
    competes = auxiliary in ("ema", "mutual") and deploy == "better"
    assert auxiliary_validator.evaluated == ([2, 3] if competes else [])
    assert validator.evaluated == ([3] if competes else []), "main too, when no validation was due"


def make_resumable(path, resume: bool, max_epochs: int, auxiliary: str):
    trainer = make_trainer(auxiliary=auxiliary, max_epochs=4, distillation_epochs=3)
    trainer.state.max_epochs = max_epochs
    saver = BestModelSaver(path.parent / "model.pt")
    validator = StubEvaluator(trainer.network, {1: 0.9, 2: 0.6, 3: 0.7, 4: 0.8}, [saver])
    scheduler = torch.optim.lr_scheduler.StepLR(trainer.optimizer, 1, 0.5)
    LrScheduleHandler(scheduler, print_lr=False).attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: validator.run(engine.state.epoch))
    objects = {
        "network": trainer.network,
        **({} if auxiliary == "none" else {"auxiliary_network": trainer.auxiliary_network}),
        "optimizer": trainer.optimizer,
        "lr_scheduler": scheduler,
        "best_model": saver,
    }
    TrainingStateHandler(path, objects, resume=resume).attach(trainer)
    return trainer, saver


@pytest.mark.parametrize("auxiliary", ["none", "ema", "mutual"])
@pytest.mark.parametrize("stopped_after", [2, 3])
def test_a_continued_run_ends_as_an_uninterrupted_one(tmp_path, auxiliary, stopped_after):
    whole, _ = make_resumable(tmp_path / "whole" / "state.pt", False, 4, auxiliary)
    whole.run()
    path = tmp_path / "parts" / "state.pt"
    make_resumable(path, False, stopped_after, auxiliary)[0].run()
    continued, saver = make_resumable(path, True, 4, auxiliary)
    for parameter in continued.network.parameters():
        nn.init.zeros_(parameter)
    epochs = []
    continued.add_event_handler(Events.EPOCH_STARTED, lambda engine: epochs.append(engine.state.epoch))
    continued.run()
    assert epochs == list(range(stopped_after + 1, 5))
    assert continued.state.iteration == 4 * BATCHES
    expected = whole.network.state_dict()
    for name, value in continued.network.state_dict().items():
        assert torch.equal(value, expected[name])
    assert (saver.best_metric, saver.best_epoch) == (0.9, 1), "a worse model never replaces the best"
    assert [file.name for file in sorted(path.parent.iterdir())] == [
        "model.pt",
        "state.previous.pt",
        "state.pt",
    ]


@pytest.mark.parametrize(("interval", "epochs"), [(1, [1, 2, 3, 4]), (3, [3, 4]), (2, [2, 4])])
def test_the_state_is_written_at_its_interval_and_at_the_end(tmp_path, interval, epochs):
    trainer = make_trainer(max_epochs=4, distillation_epochs=3)
    handler = TrainingStateHandler(tmp_path / "state.pt", {"network": trainer.network}, interval=interval)
    handler.attach(trainer)
    written = []
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED,
        lambda engine: written.append(torch.load(handler.path)["trainer"]["epoch"] if handler.path.exists() else 0),
    )
    trainer.run()
    assert sorted({epoch for epoch in written if epoch}) == epochs


def test_an_interval_of_no_epoch_is_refused(tmp_path):
    with pytest.raises(ValueError, match="interval must be 1 or more epochs, got 0"):
        TrainingStateHandler(tmp_path / "state.pt", {}, interval=0)


def test_nothing_to_continue_from_is_said_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match="resume: there is no training state .*state.pt"):
        TrainingStateHandler(tmp_path / "state.pt", {}, resume=True)


def test_a_state_of_another_configuration_is_named(tmp_path):
    path = tmp_path / "state.pt"
    trainer = make_trainer(auxiliary="none", max_epochs=1)
    TrainingStateHandler(path, {"network": trainer.network}).attach(trainer)
    trainer.run()
    second = make_trainer(auxiliary="none")
    TrainingStateHandler(path, {"network": nn.Linear(2, 2)}, resume=True).attach(second)
    with pytest.raises(ValueError, match=r"(?s)resume: network in .*state.pt does not fit .*Missing key"):
        second.run()
    third = make_trainer(auxiliary="none")
    TrainingStateHandler(path, {"model": third.network}, resume=True).attach(third)
    with pytest.raises(ValueError, match=r"holds \['network', .*needs \['model'"):
        third.run()


def test_a_failed_save_leaves_the_last_state(tmp_path, monkeypatch):
    path = tmp_path / "state.pt"
    trainer = make_trainer(auxiliary="none", max_epochs=1)
    handler = TrainingStateHandler(path, {"network": trainer.network})
    handler.attach(trainer)
    trainer.run()
    content = path.read_bytes()

    def full_disk(state, file):
        file.write(b"half")
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="Input/output error"):
        handler.save(trainer)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@contextmanager
def largest_file(size: int):
    """Let the system refuse to write more bytes than these into a file, as a full disk would."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
        signal.signal(signal.SIGXFSZ, ignored)


def train_once(path: Path, resume: bool = False, max_epochs: int = 1):
    trainer = make_trainer(auxiliary="none", max_epochs=max_epochs)
    handler = TrainingStateHandler(path, {"network": trainer.network, "optimizer": trainer.optimizer}, resume)
    handler.attach(trainer)
    trainer.run()
    return trainer, handler


def test_a_state_that_does_not_fit_on_the_disk_leaves_those_before_it(tmp_path):
    path = tmp_path / "state.pt"
    trainer, handler = train_once(path, max_epochs=2)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    size = path.stat().st_size
    with largest_file(1000), pytest.raises(DiskFullError) as caught:
        handler.save(trainer)
    assert str(caught.value).startswith(
        f"{path}: the file is larger than the system allows: {size / 1e6:.1f} MB needed"
    )
    assert f"MB free in {tmp_path}. What was there before has not changed" in str(caught.value)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("limit", [1000, 10_000_000])
def test_a_disk_without_space_stops_the_training_before_its_first_epoch(tmp_path, monkeypatch, limit):
    """Once the system refuses to write, once there is space for one state, and not for the three that there will be."""
    path = tmp_path / "models" / "state.pt"
    trainer = make_trainer(auxiliary="none", max_epochs=1)
    TrainingStateHandler(path, {"network": trainer.network, "optimizer": trainer.optimizer}).attach(trainer)
    started = []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: started.append(engine.state.epoch))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=5000))
    with largest_file(limit), pytest.raises(DiskFullError, match=r"models/state.pt: .* MB needed, 0.0 MB free"):
        trainer.run()
    assert not started
    assert not list(path.parent.iterdir())


def test_what_is_tried_before_the_first_epoch_is_as_large_as_what_adam_will_leave(tmp_path, monkeypatch):
    network = Student()
    optimizer = torch.optim.Adam(network.parameters())
    trainer = make_trainer(auxiliary="none", network=network, optimizer=optimizer, max_epochs=1)
    path = tmp_path / "state.pt"
    sizes = []
    write = checkpoints.write
    monkeypatch.setattr(
        checkpoints, "write", lambda state, file: (write(state, file), sizes.append(file.stat().st_size))
    )
    TrainingStateHandler(path, {"network": network, "optimizer": optimizer}).attach(trainer)
    trainer.run()
    tried, written = sizes
    assert tried == pytest.approx(written, rel=0.2)
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


@pytest.mark.parametrize("damage", ["zeros inside", "half", "empty", "zeros"])
def test_a_damaged_state_is_named_and_the_one_before_it_is_taken(tmp_path, caplog, damage):
    path = tmp_path / "state.pt"
    train_once(path, max_epochs=2)
    whole = path.read_bytes()
    middle = whole.index(torch.load(path, weights_only=True)["network"]["fc.weight"].numpy().tobytes())
    path.write_bytes(
        {
            "zeros inside": whole[:middle] + bytes(16) + whole[middle + 16 :],
            "half": whole[: len(whole) // 2],
            "empty": b"",
            "zeros": bytes(len(whole)),
        }[damage]
    )
    with caplog.at_level(logging.INFO, "dwskd_monai"):
        _, handler = train_once(path, resume=True, max_epochs=3)
    assert f"resume: {path}: " in caplog.text
    assert f"The state before it is taken: {handler.previous}" in caplog.text
    assert "continuing after epoch 1 of 3" in caplog.text
    epochs = [torch.load(file, weights_only=True)["trainer"]["epoch"] for file in (path, handler.previous)]
    assert epochs == [3, 2]


def test_a_damaged_state_with_none_before_it_is_named(tmp_path):
    path = tmp_path / "state.pt"
    train_once(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"resume: .*state.pt: damaged, its end is missing.*no state before it"):
        train_once(path, resume=True, max_epochs=2)


def test_a_damaged_state_never_takes_the_place_of_the_whole_one_before_it(tmp_path, monkeypatch):
    path = tmp_path / "state.pt"
    train_once(path, max_epochs=2)
    path.write_bytes(path.read_bytes()[:1000])
    previous = tmp_path / "state.previous.pt"
    moved = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda source, target: (moved.append(target), replace(source, target)))
    train_once(path, resume=True, max_epochs=2)
    assert previous not in moved
    assert torch.load(previous, weights_only=True)["trainer"]["epoch"] == 1
    assert torch.load(path, weights_only=True)["trainer"]["epoch"] == 2


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("stopped_at", range(3))
def test_a_save_that_is_interrupted_between_its_steps_leaves_a_state_to_continue_from(
    tmp_path, monkeypatch, stopped_at, links
):
    """The last state becomes the one before it, the new one takes its place; on disks with links and without."""
    path = tmp_path / "state.pt"
    trainer, handler = train_once(path, max_epochs=2)
    done = []
    replace = os.replace

    def interrupted(source, target):
        if len(done) == stopped_at:
            raise KeyboardInterrupt
        done.append(target)
        replace(source, target)

    def no_links(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        if not links:
            patch.setattr(os, "link", no_links)
        if stopped_at < 2:
            with pytest.raises(KeyboardInterrupt):
                handler.save(trainer)
        else:
            handler.save(trainer)
    assert path.is_file() == (links or stopped_at != 1)
    continued, _ = train_once(path, resume=True, max_epochs=3)
    assert continued.state.iteration == 3 * BATCHES
    assert sorted(file.name for file in tmp_path.iterdir()) == ["state.previous.pt", "state.pt"]


def test_epoch_seed_makes_an_epoch_repeatable():
    class Drawing(torch.utils.data.Dataset):
        def set_random_state(self, seed: int) -> None:
            self.seed = seed

    dataset = Drawing()
    drawn = []
    for epochs in (3, 3):
        trainer = make_trainer(auxiliary="none", max_epochs=epochs, train_handlers=[EpochSeedHandler(7, dataset)])
        trainer.add_event_handler(
            Events.EPOCH_STARTED, lambda engine: drawn.append((dataset.seed, torch.rand(1).item()))
        )
        torch.rand(epochs)
        trainer.run()
    assert drawn[:3] == drawn[3:]
    assert len(set(drawn)) == 3


def test_each_epoch_has_one_line_with_what_was_measured_and_the_best_so_far(tmp_path, caplog):
    trainer = make_trainer(max_epochs=4)
    saver = BestModelSaver(tmp_path / "model.pt")
    evaluator = StubEvaluator(trainer.network, {2: 0.75, 4: 0.5}, [saver])
    auxiliary_evaluator = StubEvaluator(Student(), {2: 0.7, 4: 0.8}, [saver])
    ValidationHandler(2, evaluator).attach(trainer)
    ValidationHandler(2, auxiliary_evaluator).attach(trainer)
    EpochLogHandler(evaluator, saver).attach(trainer)
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: engine.state.metrics.update(train_loss=1.5))
    with caplog.at_level(logging.INFO, "dwskd_monai"):
        trainer.run()
    assert [record.message for record in caplog.records] == [
        "epoch 1/4: train_loss 1.5000",
        "epoch 2/4: train_loss 1.5000; quality 0.7500; best quality 0.7500, saved",
        "epoch 3/4: train_loss 1.5000",
        "epoch 4/4: train_loss 1.5000; quality 0.5000; best quality 0.8000, of the auxiliary, saved",
    ]


def test_a_metric_to_log_that_nobody_measures_is_named(tmp_path):
    trainer = make_trainer(max_epochs=1)
    saver = BestModelSaver(tmp_path / "model.pt")
    evaluator = StubEvaluator(trainer.network, {1: 0.75}, [saver])
    ValidationHandler(1, evaluator).attach(trainer)
    EpochLogHandler(evaluator, saver, ["qualty"]).attach(trainer)
    with pytest.raises(ValueError, match="no 'qualty'; it has quality"):
        trainer.run()
