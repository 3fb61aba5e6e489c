"""Write what is needed to continue a training, and continue it."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from dwskd_monai import checkpoints
from dwskd_monai.files import DiskFullError, previous_of, replacing
from dwskd_monai.training.distributed import unwrap
from dwskd_monai.training.trainer import DualStudentTrainer

_MOST_FILES = 3  # of states on the disk at a time: the one that is being written, the last one, the one before
_logger = logging.getLogger(__name__)


class TrainingStateHandler:
    """Write all that is needed to continue, and continue from it.

    ``monai.handlers.CheckpointSaver`` deletes the last file before it writes the next one, and the engine's state,
    which it saves, has neither the best metric nor the scaler.

    Args:
        path: file of the state. The state before it is kept as ``<stem>.previous<suffix>``: a training that ends at any
            moment leaves a complete state, and if the disk damages one, there is one before it.
        objects: all that has a state, by name: networks, optimizer, scheduler, and the
            :class:`~dwskd_monai.training.handlers.best_model.BestModelSaver`. An optimizer comes before its scheduler.
        resume: restore from ``path`` before the first epoch, or, if that file is damaged, from the state before it.
        interval: epochs between writes; the last epoch is always written, and one after which main starts again.
    """

    def __init__(self, path: str | Path, objects: Mapping[str, Any], resume: bool = False, interval: int = 1) -> None:
        if interval < 1:
            raise ValueError(f"interval must be 1 or more epochs, got {interval}")
        self.interval = interval
        self.path = Path(path)
        self.previous = previous_of(self.path)
        self.objects = dict(objects)
        self.resume = resume
        self._damaged = False  # whether the file at ``path`` is damaged
        if self.resume and not self.path.is_file() and not self.previous.is_file():
            raise FileNotFoundError(f"resume: there is no training state {self.path} to continue from")

    def attach(self, engine: Engine) -> None:
        """Restore at the start, save after epochs; attach this handler after the handlers that change state then."""
        if self.resume:
            engine.add_event_handler(Events.STARTED, self.restore)
        engine.add_event_handler(Events.STARTED, self.try_to_write)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, engine: DualStudentTrainer) -> None:
        """Write the state (on the first process).

        Raises:
            DiskFullError: if there is no space left; the states that were there stay.
        """
        must = engine.state.epoch == engine.state.max_epochs or engine.restarts_now
        if idist.get_rank() != 0 or (engine.state.epoch % self.interval and not must):
            return
        with replacing(self.path) as temporary:
            checkpoints.write(self._state(engine), temporary)
            if self.path.is_file() and not self._damaged:
                self._keep_as_previous()
        self._damaged = False

    def _keep_as_previous(self) -> None:
        """Let the last state be the one before it too, until the next one takes its place."""
        link = self.previous.with_name(f".{self.previous.name}.tmp")
        link.unlink(missing_ok=True)
        try:
            os.link(self.path, link)
        except OSError:  # a file system without links: for a moment there is only the state before
            os.replace(self.path, self.previous)
            return
        os.replace(link, self.previous)
        link.unlink(missing_ok=True)  # the link stays if both were links to one file

    def try_to_write(self, engine: DualStudentTrainer) -> None:
        """Before the first epoch, write the state and remove it: a full disk is found now and not after hours.

        Raises:
            DiskFullError: if the disk has no space for the states that a training leaves.
            OSError: if the file cannot be written for another reason.
        """
        if idist.get_rank() != 0:
            return
        trial = self.path.with_name(f"{self.path.stem}.trial{self.path.suffix}")
        try:
            with replacing(trial) as temporary:
                checkpoints.write({**self._state(engine), "moments": _moments_to_come(engine.optimizer)}, temporary)
        except DiskFullError as error:
            raise DiskFullError(self.path, error.number, error.needed) from error
        size = trial.stat().st_size
        trial.unlink()
        kept = sum(file.stat().st_size for file in (self.path, self.previous) if file.is_file())
        needed = _MOST_FILES * size - kept
        if shutil.disk_usage(self.path.parent).free < needed:
            raise DiskFullError(self.path, needed=needed)

    def _state(self, engine: DualStudentTrainer) -> dict[str, Any]:
        state = {name: _stateful(value).state_dict() for name, value in self.objects.items()}
        state["scaler"] = engine.scaler.state_dict()
        state["trainer"] = {
            "epoch": engine.state.epoch,
            "epoch_length": engine.state.epoch_length,
            "students": engine.students,  # the objects may hold a network that was not trained
        }
        return state

    def restore(self, engine: DualStudentTrainer) -> None:
        """Read the state into the objects and the engine.

        Raises:
            ValueError: if the file does not fit this configuration, or no state is complete; the message names what
                differs.
        """
        path, state = self._whole_state(engine.state.device)
        expected = {*self.objects, "scaler", "trainer"}
        if set(state) != expected:
            raise ValueError(f"resume: {path} holds {sorted(state)}, this configuration needs {sorted(expected)}")
        for name, value in self.objects.items():
            try:
                _stateful(value).load_state_dict(state[name])
            except (RuntimeError, ValueError, KeyError) as error:
                raise ValueError(f"resume: {name} in {path} does not fit this configuration: {error}") from error
        if state["scaler"]:
            engine.scaler.load_state_dict(state["scaler"])
        engine.state.epoch = int(state["trainer"]["epoch"])
        engine.state.iteration = engine.state.epoch * engine.state.epoch_length
        _logger.info("continuing after epoch %d of %d from %s", engine.state.epoch, engine.state.max_epochs, path)

    def _whole_state(self, device: torch.device) -> tuple[Path, dict[str, Any]]:
        """The last state, or the one before it if the last is damaged, or was not in its place when the run ended."""
        try:
            return self.path, checkpoints.load(self.path, device)
        except FileNotFoundError:
            _logger.warning("resume: %s is missing; the state before it is taken: %s", self.path, self.previous)
        except checkpoints.DamagedFileError as error:
            if not self.previous.is_file():
                raise ValueError(f"resume: {error}. There is no state before it: {self.previous}") from error
            self._damaged = True
            _logger.warning("resume: %s. The state before it is taken: %s", error, self.previous)
        return self.previous, checkpoints.load(self.previous, device)


def _stateful(value: Any) -> Any:
    return unwrap(value) if isinstance(value, torch.nn.Module) else value


def _moments_to_come(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """As many bytes as the two moments that Adam keeps from its first step on; nothing if it has them already."""
    if optimizer.state:
        return []
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return [torch.zeros_like(parameter, device="cpu") for parameter in parameters for _ in range(2)]
