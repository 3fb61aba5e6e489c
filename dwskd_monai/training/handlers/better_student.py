"""Let the better of two students go on."""

from __future__ import annotations

import logging

from ignite.engine import Engine, Events
from monai.engines import Evaluator

from dwskd_monai.training.trainer import DualStudentTrainer

_logger = logging.getLogger(__name__)


class BetterStudentHandler:
    """With two students, validate the auxiliary too, and continue with the better one.

    Every ``interval`` epochs of distillation the auxiliary is evaluated. At the end of distillation the student with
    the better key metric becomes main, which is then fine-tuned. This happens only if the
    :class:`~dwskd_monai.training.auxiliary.Auxiliary` ``competes``. Attach it after the ``ValidationHandler`` of main.
    MONAI's ``ValidationHandler`` validates one network, and cannot replace it by another.

    Args:
        validator: main's evaluator.
        auxiliary_validator: the auxiliary's evaluator, on the same data with the same key metric.
        interval: epochs between evaluations.
    """

    def __init__(self, validator: Evaluator, auxiliary_validator: Evaluator, interval: int = 1) -> None:
        if interval < 1:
            raise ValueError(f"interval must be 1 or more epochs, got {interval}")
        self.validator = validator
        self.auxiliary_validator = auxiliary_validator
        self.interval = interval

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
        if self.validator.state.epoch != epoch:  # main was not evaluated in this epoch
            self.validator.run(epoch)
        name = self.validator.state.key_metric_name
        main = float(self.validator.state.metrics[name])
        auxiliary = float(self.auxiliary_validator.state.metrics[name])
        if auxiliary > main:
            engine.promote_auxiliary()
        _logger.info("end of distillation: %s main %.4f, auxiliary %.4f; the better goes on", name, main, auxiliary)
