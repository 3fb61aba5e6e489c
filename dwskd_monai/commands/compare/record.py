"""Small handlers and functions for the config of a run, which write what a comparison needs to know about it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn

from dwskd_monai.files import read_json, write_json
from dwskd_monai.training import BestModelSaver, DualStudentTrainer

_logger = logging.getLogger(__name__)


class TrainingRecord:
    """Write how long a training took and how it ended, as JSON.

    ``epoch_seconds`` has the seconds of each epoch, including validation and saving, but not the reading of the data.
    It survives interruptions: a training that is continued after epoch n keeps the first n. (``ignite.handlers.Timer``
    and ``BasicTimeProfiler`` know only one process.) ``best_epoch``, ``last_metric``, ``students`` (how many there
    were) and the given facts are added when the training has ended, so a file that has them belongs to a whole
    training.

    Args:
        path: the file.
        validator: main's evaluator.
        best_model_saver: the handler that saves the best network.
        facts: values of the config that are written as they are.
    """

    def __init__(
        self, path: str | Path, validator: Evaluator, best_model_saver: BestModelSaver, facts: Mapping[str, Any]
    ) -> None:
        self.path = Path(path)
        self.validator = validator
        self.best_model_saver = best_model_saver
        self.facts = dict(facts)
        self.epoch_seconds: list[float] = []
        self._since = 0.0

    def attach(self, engine: Engine) -> None:
        """Write after each epoch and at the end; attach this after the handler for the state of the training."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.add_epoch)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        """Keep the epochs after which the training is continued, if there are any."""
        done = engine.state.epoch
        before: list[float] = read_json(self.path)["epoch_seconds"] if done and self.path.is_file() else []
        self.epoch_seconds = before[:done]
        if len(self.epoch_seconds) < done:
            _logger.warning("%s: epochs %d to %d are not timed", self.path, len(self.epoch_seconds) + 1, done)
            self.epoch_seconds += [0.0] * (done - len(self.epoch_seconds))
        self._write({})
        self._since = time.perf_counter()

    def add_epoch(self, engine: Engine) -> None:
        """Add the seconds since the last epoch."""
        now = time.perf_counter()
        self.epoch_seconds.append(now - self._since)
        self._since = now
        self._write({})

    def finish(self, engine: DualStudentTrainer) -> None:
        """Add how the training ended."""
        if not self.validator.state.metrics:  # continued after its last epoch
            self.validator.run()
        metric = float(self.validator.state.metrics[self.validator.state.key_metric_name])
        best_epoch = self.best_model_saver.best_epoch
        self._write({"best_epoch": best_epoch, "last_metric": metric, "students": engine.students, **self.facts})

    def _write(self, end: Mapping[str, Any]) -> None:
        write_json(self.path, {"epoch_seconds": self.epoch_seconds, **end})


def write_parameters(network: nn.Module, path: str | Path) -> None:
    """Write how many parameters a network has, as JSON."""
    write_json(Path(path), {"parameters": sum(parameter.numel() for parameter in network.parameters())})
