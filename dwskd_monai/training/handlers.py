"""Handlers that ignite and MONAI lack."""

from __future__ import annotations

import logging
import math
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd
from monai.engines import Evaluator
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys
from torch.utils.data import Dataset

from dwskd_monai.arguments import flag
from dwskd_monai.files import replacing
from dwskd_monai.training.distributed import unwrap
from dwskd_monai.training.trainer import AUXILIARY_LOSS, DualStudentTrainer

_logger = logging.getLogger(__name__)


class NonFiniteLossHandler:
    """Stop training with an error as soon as a loss is NaN or infinite.

    ``ignite.handlers.TerminateOnNan`` ends the run as if it had succeeded (exit code 0), after the optimiser has
    stepped. This one raises before the backward pass, so the weights are the last good ones.
    """

    def attach(self, engine: Engine) -> None:
        """Check each iteration's losses as soon as they are there."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Raises FloatingPointError, with epoch and iteration, if a loss is not finite."""
        for name in (CommonKeys.LOSS, AUXILIARY_LOSS):
            loss = engine.state.output.get(name)
            if loss is not None and not torch.isfinite(loss):
                raise FloatingPointError(
                    f"{name} became {float(loss)} in epoch {engine.state.epoch}, iteration {engine.state.iteration}; "
                    "the weights of the iteration before are untouched and the best model so far is kept. A smaller "
                    "learning rate or clip_grad_norm often helps"
                )


class EpochSeedHandler:
    """Seed order, augmentation and dropout from (seed, epoch, rank) when an epoch starts.

    A run that is continued at epoch n then sees what an uninterrupted one would have seen; ignite's engine state
    holds no random state. (MONAI reseeds transforms only when a worker process starts.)

    Args:
        seed: of the run.
        dataset: whose random transforms are seeded, for loading without worker processes.
    """

    def __init__(self, seed: int, dataset: Dataset) -> None:
        self.seed, self.dataset = seed, dataset

    def attach(self, engine: Engine) -> None:
        """Seed at the start of each epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed torch and the dataset's transforms."""
        seed = (self.seed * 100_003 + engine.state.epoch) * 1_009 + idist.get_rank()
        torch.manual_seed(seed)
        set_rnd(self.dataset, seed % 2**32)


class BestModelSaver:
    """Keep the best network so far as a plain state dict, the file that is deployed.

    Attached to evaluators: whichever has the best key metric so far has its network saved, so with two students the
    better one is. ``monai.handlers.CheckpointSaver`` deletes the old file before the new one is written, lets a
    metric of NaN in the first epoch block all later ones, and saves one fixed network.

    Args:
        path: the state dict. A file that is there from an earlier run is kept as ``<stem>.previous<suffix>``, unless it
            holds the very weights.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.best_metric = -math.inf
        self.best_epoch = 0
        self._saved = False

    def attach(self, engine: Engine) -> None:
        """Compare after each evaluation."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Evaluator) -> None:
        """Save the evaluator's network if its key metric is better than any before.

        Raises:
            FloatingPointError: if the network to save holds NaN or infinite weights.
        """
        name = engine.state.key_metric_name
        metric = float(engine.state.metrics[name])
        if math.isnan(metric):
            _logger.warning("epoch %d: %s is NaN, the model is not considered", engine.state.epoch, name)
            return
        if metric <= self.best_metric:
            return
        weights = {key: value.cpu() for key, value in unwrap(engine.network).state_dict().items()}
        broken = [key for key, value in weights.items() if not torch.isfinite(value).all()]
        if broken:
            raise FloatingPointError(f"epoch {engine.state.epoch}: weights of {broken[0]} are not finite; not saved")
        self.best_metric, self.best_epoch = metric, engine.state.epoch
        if not self._saved and holds_weights(self.path, weights):
            return
        if idist.get_rank() == 0:
            if self.path.exists() and not self._saved:
                with replacing(self.path.with_name(f"{self.path.stem}.previous{self.path.suffix}")) as temporary:
                    shutil.copy2(self.path, temporary)
            with replacing(self.path) as temporary:
                torch.save(weights, temporary)
        self._saved = True
        _logger.info("epoch %d: best %s so far, %.4f, saved to %s", self.best_epoch, name, metric, self.path)

    def state_dict(self) -> dict[str, Any]:
        """What must survive an interruption, so that a worse model never replaces a better one."""
        return {"best_metric": self.best_metric, "best_epoch": self.best_epoch, "saved": self._saved}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`'s content."""
        self.best_metric, self.best_epoch = float(state["best_metric"]), int(state["best_epoch"])
        self._saved = bool(state["saved"])


class DeployedModelHandler:
    """Where training starts from the deployed network, let that be the one to beat.

    MONAI Label trains on from the network that it serves, and ``monai.handlers.CheckpointLoader`` loads one to be
    fine-tuned; the first epoch, however bad, would take its place. So if main is what ``path`` holds when training
    starts, it is validated first, and the validator's :class:`BestModelSaver` keeps the file until another is better.

    Args:
        path: of the deployed state dict.
        validator: main's evaluator.
    """

    def __init__(self, path: str | Path, validator: Evaluator) -> None:
        self.path, self.validator = Path(path), validator

    def attach(self, engine: Engine) -> None:
        """Compare at the start; attach it after whatever loads weights then."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: DualStudentTrainer) -> None:
        """Validate main if it is the deployed network."""
        if engine.state.epoch == 0 and holds_weights(self.path, unwrap(engine.network).state_dict()):
            _logger.info("training starts from %s, which is kept unless a better network is found", self.path)
            self.validator.run(0)


def holds_weights(path: Path, weights: Mapping[str, torch.Tensor]) -> bool:
    """Whether a file is a state dict with just these weights."""
    if not path.is_file():
        return False
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        return False
    return (
        isinstance(found, dict)
        and found.keys() == weights.keys()
        and all(torch.equal(found[name], value.cpu()) for name, value in weights.items())
    )


class BetterStudentHandler:
    """With two students that both learn, validate the auxiliary too and let the better one go on.

    After each ``interval`` epochs of distillation the auxiliary is evaluated; at the end of distillation the student
    with the better key metric becomes main, which is then fine-tuned, if the
    :class:`~dwskd_monai.training.auxiliary.Auxiliary` ``competes``. Attach it after the ``ValidationHandler`` of main.

    Args:
        validator: main's evaluator.
        auxiliary_validator: the auxiliary's evaluator, on the same data with the same key metric.
        interval: epochs between evaluations.
    """

    def __init__(self, validator: Evaluator, auxiliary_validator: Evaluator, interval: int = 1) -> None:
        if interval < 1:
            raise ValueError(f"interval must be 1 or more epochs, got {interval}")
        self.validator, self.auxiliary_validator, self.interval = validator, auxiliary_validator, interval

    def attach(self, engine: Engine) -> None:
        """Evaluate after epochs."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: DualStudentTrainer) -> None:
        """Evaluate the auxiliary; at the end of distillation promote it if it is better."""
        epoch = engine.state.epoch
        last = epoch == engine.schedule.distillation_epochs
        if not engine.auxiliary_competes or (epoch % self.interval and not last):
            return
        self.auxiliary_validator.run(epoch)
        if not last:
            return
        if epoch % self.interval:  # main was not evaluated in this epoch
            self.validator.run(epoch)
        name = self.validator.state.key_metric_name
        main, auxiliary = (
            float(evaluator.state.metrics[name]) for evaluator in (self.validator, self.auxiliary_validator)
        )
        if auxiliary > main:
            engine.promote_auxiliary()
        _logger.info("end of distillation: %s main %.4f, auxiliary %.4f; the better goes on", name, main, auxiliary)


class TrainingStateHandler:
    """Write all that is needed to continue, and continue from it.

    ``monai.handlers.CheckpointSaver`` deletes the last file before it writes the next, and engine state alone holds
    neither the best metric nor the scaler.

    Args:
        path: file of the state; replaced in one step, so there is always a whole one.
        objects: what has a state, by name: networks, optimiser, scheduler, the :class:`BestModelSaver`.
        resume: restore from ``path`` before the first epoch.
        interval: epochs between writes; the last epoch is always written.
    """

    def __init__(self, path: str | Path, objects: Mapping[str, Any], resume: bool = False, interval: int = 1) -> None:
        if interval < 1:
            raise ValueError(f"interval must be 1 or more epochs, got {interval}")
        self.interval = interval
        self.path, self.objects, self.resume = Path(path), dict(objects), flag("resume", resume)
        if self.resume and not self.path.is_file():
            raise FileNotFoundError(f"resume: there is no training state {self.path} to continue from")

    def attach(self, engine: Engine) -> None:
        """Restore at the start, save after epochs; attach it after whatever else changes state then."""
        if self.resume:
            engine.add_event_handler(Events.STARTED, self.restore)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, engine: DualStudentTrainer) -> None:
        """Write the state (on the first process)."""
        last = engine.state.epoch == engine.state.max_epochs
        if idist.get_rank() != 0 or (engine.state.epoch % self.interval and not last):
            return
        state = {name: _stateful(value).state_dict() for name, value in self.objects.items()}
        state["scaler"] = engine.scaler.state_dict()
        state["trainer"] = {
            "epoch": engine.state.epoch,
            "epoch_length": engine.state.epoch_length,
            "students": engine.students,  # the objects may hold a network that was not trained
        }
        with replacing(self.path) as temporary:
            torch.save(state, temporary)

    def restore(self, engine: DualStudentTrainer) -> None:
        """Read the state into the objects and the engine.

        Raises:
            ValueError: if the file does not fit this configuration; the message names what differs.
        """
        state = torch.load(self.path, map_location=engine.state.device, weights_only=True)
        expected = {*self.objects, "scaler", "trainer"}
        if set(state) != expected:
            raise ValueError(f"resume: {self.path} holds {sorted(state)}, this configuration needs {sorted(expected)}")
        for name, value in self.objects.items():
            try:
                _stateful(value).load_state_dict(state[name])
            except (RuntimeError, ValueError, KeyError) as error:
                raise ValueError(f"resume: {name} in {self.path} does not fit this configuration: {error}") from error
        if state["scaler"]:
            engine.scaler.load_state_dict(state["scaler"])
        engine.state.epoch = int(state["trainer"]["epoch"])
        engine.state.iteration = engine.state.epoch * engine.state.epoch_length
        _logger.info("continuing after epoch %d of %d from %s", engine.state.epoch, engine.state.max_epochs, self.path)


def _stateful(value: Any) -> Any:
    return unwrap(value) if isinstance(value, torch.nn.Module) else value
