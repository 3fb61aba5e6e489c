"""Validate the last epoch, too."""

from __future__ import annotations

from ignite.engine import Engine, Events
from monai.engines import Evaluator


class LastEpochHandler:
    """Validate after the last epoch if it is not one of those that are validated anyway.

    The learning rate has come down then, so its network is often the best. MONAI's ``ValidationHandler`` validates
    every so many epochs, and leaves out those at the end. Attach this handler after it.

    Args:
        validator: evaluates the network that is saved.
        interval: epochs between the other validations.
    """

    def __init__(self, validator: Evaluator, interval: int = 1) -> None:
        self.validator = validator
        self.interval = interval

    def attach(self, engine: Engine) -> None:
        """Validate after the last epoch."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Validate, if this is the last epoch."""
        if engine.state.epoch == engine.state.max_epochs and engine.state.epoch % self.interval:
            self.validator.run(engine.state.epoch)
