"""Write what is needed to continue a training, and continue it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from dwskd_monai.files import replacing
from dwskd_monai.training.distributed import unwrap
from dwskd_monai.training.trainer import DualStudentTrainer

_logger = logging.getLogger(__name__)


class TrainingStateHandler:
    """Write all that is needed to continue, and continue from it.

    ``monai.handlers.CheckpointSaver`` deletes the last file before it writes the next one, and the engine's state,
    which it saves, has neither the best metric nor the scaler.

    Args:
        path: file of the state; it is replaced in one step, so it is always complete.
        objects: all that has a state, by name: networks, optimizer, scheduler, and the
            :class:`~dwskd_monai.training.handlers.best_model.BestModelSaver`.
        resume: restore from ``path`` before the first epoch.
        interval: epochs between writes; the last epoch is always written.
    """

    def __init__(self, path: str | Path, objects: Mapping[str, Any], resume: bool = False, interval: int = 1) -> None:
        if interval < 1:
            raise ValueError(f"interval must be 1 or more epochs, got {interval}")
        self.interval = interval
        self.path = Path(path)
        self.objects = dict(objects)
        self.resume = resume
        if self.resume and not self.path.is_file():
            raise FileNotFoundError(f"resume: there is no training state {self.path} to continue from")

    def attach(self, engine: Engine) -> None:
        """Restore at the start, save after epochs; attach it after the handlers that change state then."""
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
