"""One line per epoch."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import Evaluator

from dwskd_monai.training.handlers.best_model import BestModelSaver

_logger = logging.getLogger(__name__)


class EpochLogHandler:
    """Write one line per epoch: what was learned, how the validation went, and the best network so far.

    MONAI's ``StatsHandler`` writes two lines for each engine, to standard output and in a format of its own. Attach
    this one after the handlers that validate.

    Args:
        validator: main's evaluator.
        best_model: the saver that is attached to it.
        metrics: names of the evaluator's metrics that are shown, in this order; None: all.
    """

    def __init__(self, validator: Evaluator, best_model: BestModelSaver, metrics: Sequence[str] | None = None) -> None:
        self.validator = validator
        self.best_model = best_model
        self.metrics = metrics

    def attach(self, engine: Engine) -> None:
        """Write after each epoch."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the line of the epoch that ends.

        Raises:
            ValueError: if a metric is to be shown that the evaluator does not have.
        """
        epoch = engine.state.epoch
        parts = [", ".join(_shown(engine.state.metrics))]
        if self.validator.state.epoch == epoch:  # otherwise this epoch was not validated
            parts += [", ".join(_shown(self._chosen(self.validator.state.metrics))), self._best(epoch)]
        _logger.info("epoch %d/%d: %s", epoch, engine.state.max_epochs, "; ".join(filter(None, parts)))

    def _chosen(self, metrics: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.metrics is None:
            return metrics
        unknown = [name for name in self.metrics if name not in metrics]
        if unknown:
            raise ValueError(f"metrics: the evaluator has no {unknown[0]!r}; it has {', '.join(metrics)}")
        return {name: metrics[name] for name in self.metrics}

    def _best(self, epoch: int) -> str:
        saver = self.best_model
        if math.isinf(saver.best_metric):
            return ""
        name = self.validator.state.key_metric_name
        if saver.best_epoch == epoch:
            is_main = saver.best_metric == self.validator.state.metrics[name]
            when = "saved" if is_main else "of the auxiliary, saved"
        elif saver.best_epoch:
            when = f"of epoch {saver.best_epoch}"
        else:
            when = "of the network that the training started from"
        return f"best {name} {saver.best_metric:.4f}, {when}"


def _shown(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Metrics that are numbers."""
    for name, value in metrics.items():
        if isinstance(value, float | int):
            yield f"{name} {value:.4f}"
