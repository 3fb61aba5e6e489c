"""Replace the deployed network only by a better one."""

from __future__ import annotations

import logging
from pathlib import Path

from ignite.engine import Engine, Events
from monai.engines import Evaluator

from dwskd_monai.training.distributed import unwrap
from dwskd_monai.training.handlers.best_model import Record, holds_weights
from dwskd_monai.training.trainer import DualStudentTrainer

_logger = logging.getLogger(__name__)


class DeployedModelHandler:
    """If training starts from the deployed network, replace it only by a better one.

    MONAI Label continues to train the network that it serves, and ``monai.handlers.CheckpointLoader`` loads a network
    for fine-tuning. Without this handler, the first epoch, however bad, would replace this network. So if the network
    to be saved has the weights in ``path`` when training starts, it is validated first, and the validator's
    :class:`~dwskd_monai.training.handlers.best_model.BestModelSaver` keeps the file until another network is better.
    MONAI's ``ValidationHandler(exec_at_start=True)`` would also validate, and save, a student that has learned nothing.

    Args:
        path: of the deployed state dict.
        validator: evaluates the network that is saved.
        record: is told from which network the training starts; None: there is none.
    """

    def __init__(self, path: str | Path, validator: Evaluator, record: Record | None = None) -> None:
        self.path = Path(path)
        self.validator = validator
        self.record = record

    def attach(self, engine: Engine) -> None:
        """Compare at the start; attach this handler after those that load weights then."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: DualStudentTrainer) -> None:
        """Validate the network if it is the deployed one."""
        if engine.state.epoch == 0 and holds_weights(self.path, unwrap(self.validator.network).state_dict()):
            if self.record is not None:
                self.record.start_from(self.path)
            self.validator.run(0)
            state = self.validator.state
            measured = f"{state.key_metric_name} {state.metrics[state.key_metric_name]:.4f}"
            _logger.info("training starts from %s (%s), kept until another network is better", self.path, measured)
