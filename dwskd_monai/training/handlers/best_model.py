"""Keep the best network."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import Tensor

from dwskd_monai import checkpoints
from dwskd_monai.files import before_restart_of, replacing, replacing_pair
from dwskd_monai.training.distributed import unwrap

_logger = logging.getLogger(__name__)


class Record(Protocol):
    """What is written beside the weights, so that later commands know what they were trained with."""

    def file_of(self, weights: Path) -> Path:
        """Where the record of a file of weights is."""

    def start_from(self, weights: Path) -> None:
        """Take over what is recorded of a network that the training starts from."""

    def write(self, file: Path, weights: Path, best: Mapping[str, Any], evidence: Mapping[str, Any] | None) -> None:
        """Write the record of saved weights, of the epoch and metric by which they were chosen, and of the evidence."""


class Evidence(Protocol):
    """What is fitted to the predictions of the network that is saved; see ``evaluation.ValidationEvidence``."""

    def attach(self, engine: Engine) -> None:
        """Collect the predictions of an evaluator."""

    def fit(self) -> Mapping[str, Any]:
        """What the last epoch gives; all processes call this."""


class BestModelSaver:
    """Keep the best network so far as a plain state dict, the file that is deployed.

    Attach it to several evaluators to keep the best of their networks, for instance of two students.
    ``monai.handlers.CheckpointSaver`` deletes the old file before the new one is written, saves nothing more after a
    metric of NaN in the first epoch, and saves one fixed network.

    Args:
        path: the state dict.
        record: written together with the weights, and kept with them; None: only the weights are written.
        evidence: fitted for each network that is saved, and written with the record; None: nothing is fitted.
    """

    def __init__(self, path: str | Path, record: Record | None = None, evidence: Evidence | None = None) -> None:
        self.path = Path(path)
        self.record = record
        self.evidence = evidence
        self.best_metric = -math.inf
        self.best_epoch = 0
        self._to_beat = -math.inf  # by the network that is saved next
        self._least = -math.inf  # the metric of the network that was there before the training
        self._forgotten: tuple[float, int] | None = None  # metric and epoch
        self._saved = False

    def attach(self, engine: Engine) -> None:
        """Compare after each evaluation."""
        if self.evidence is not None:
            self.evidence.attach(engine)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Evaluator) -> None:
        """Save the evaluator's network if its key metric is better than any before.

        Raises:
            FloatingPointError: if the network to save holds NaN or infinite weights.
        """
        name = engine.state.key_metric_name
        metric = float(engine.state.metrics[name])
        if math.isnan(metric):
            _logger.warning("epoch %d: %s is undefined (NaN), so the model is not considered", engine.state.epoch, name)
            return
        if engine.state.epoch == 0:
            self._least = metric
        if metric <= self._to_beat:
            return
        weights = {key: value.cpu() for key, value in unwrap(engine.network).state_dict().items()}
        broken = [key for key, value in weights.items() if not torch.isfinite(value).all()]
        if broken:
            raise FloatingPointError(f"epoch {engine.state.epoch}: weights of {broken[0]} are not finite; not saved")
        self.best_metric = self._to_beat = metric
        self.best_epoch = engine.state.epoch
        evidence = None if self.evidence is None else self.evidence.fit()
        if not self._saved and holds_weights(self.path, weights):
            if idist.get_rank() == 0:
                self._renew_record(name, evidence)
            return
        if idist.get_rank() == 0:
            self._save(weights, name, evidence)
        self._saved = True
        _logger.debug("epoch %d: best %s so far, %.4f, saved to %s", self.best_epoch, name, metric, self.path)

    def forget(self) -> None:
        """Forget the networks of this training, which starts again, but not the one that was there before it.

        The next network replaces the best one so far even if it is worse, of which :attr:`forgotten` is a copy.
        """
        self._to_beat = self._least
        if not self.best_epoch:
            return
        self._forgotten = (self.best_metric, self.best_epoch)
        if idist.get_rank() == 0 and self.path.is_file():  # it is elsewhere if the training goes on in another folder
            for file, copy in self._copies():
                with replacing(copy) as temporary:
                    shutil.copy2(file, temporary)
            _logger.info(
                "main starts again: %s will have the best network from now on, even if it is worse than that of epoch "
                "%d, which is kept in %s", self.path, self.best_epoch, self.forgotten,
            )  # fmt: skip

    def compare_with_forgotten(self, engine: Engine) -> None:
        """At the end of a whole training: say so if the forgotten network was better, and remove its copy if not."""
        finished = engine.state.epoch == engine.state.max_epochs
        if self._forgotten is None or not finished or idist.get_rank() != 0:
            return
        metric, epoch = self._forgotten
        if epoch == self.best_epoch or metric <= self.best_metric:
            for _, copy in self._copies():
                copy.unlink(missing_ok=True)
        else:
            _logger.warning(
                "on the validation images, the network of epoch %d, before main started again, was better: %.4f, and "
                "the best one after it %.4f. The latter is in %s%s", epoch, metric, self.best_metric, self.path,
                f", and the former in {self.forgotten}" if self.forgotten.is_file() else "",
            )  # fmt: skip

    @property
    def forgotten(self) -> Path:
        """Where the best network from before the restart is."""
        return before_restart_of(self.path)

    def _copies(self) -> list[tuple[Path, Path]]:
        """The files of the best network, and where they are copied to."""
        copies = [(self.path, self.forgotten)]
        if self.record is not None:
            copies.append((self.record.file_of(self.path), self.record.file_of(self.forgotten)))
        return copies

    def _save(self, weights: Mapping[str, Tensor], metric_name: str, evidence: Mapping[str, Any] | None) -> None:
        if self._forgotten is None:
            for _, copy in self._copies():  # of an earlier training
                copy.unlink(missing_ok=True)
        if self.record is None:
            with replacing(self.path) as file:
                checkpoints.write(weights, file)
            return
        with replacing_pair(self.path, self.record.file_of(self.path)) as (file, record_file):
            checkpoints.write(weights, file)
            self.record.write(record_file, file, self._best(metric_name), evidence)

    def _renew_record(self, metric_name: str, evidence: Mapping[str, Any] | None) -> None:
        """Write the record of existing weights again: they may come from a training with other settings."""
        if self.record is not None and self.best_epoch:  # 0: the network that was served, before any epoch
            with replacing(self.record.file_of(self.path)) as file:
                self.record.write(file, self.path, self._best(metric_name), evidence)

    def _best(self, metric_name: str) -> dict[str, Any]:
        return {"epoch": self.best_epoch, "metric": metric_name, "value": self.best_metric}

    def state_dict(self) -> dict[str, Any]:
        """What must survive an interruption, so that a worse model never replaces a better one."""
        return {
            "best_metric": self.best_metric,
            "best_epoch": self.best_epoch,
            "to_beat": self._to_beat,
            "least": self._least,
            "forgotten": self._forgotten,
            "saved": self._saved,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`'s content."""
        self.best_metric = float(state["best_metric"])
        self.best_epoch = int(state["best_epoch"])
        self._to_beat = float(state.get("to_beat", self.best_metric))  # older states have none
        self._least = float(state["least"])
        forgotten = state.get("forgotten")
        self._forgotten = None if forgotten is None else (float(forgotten[0]), int(forgotten[1]))
        self._saved = bool(state["saved"])


def holds_weights(path: Path, weights: Mapping[str, Tensor]) -> bool:
    """Whether a file is a state dict with just these weights."""
    if not path.is_file():
        return False
    try:
        saved = checkpoints.load(path)
    except ValueError:  # it is damaged, or something else
        return False
    if not isinstance(saved, dict) or saved.keys() != weights.keys():
        return False
    return all(torch.equal(saved[name], value.cpu()) for name, value in weights.items())
