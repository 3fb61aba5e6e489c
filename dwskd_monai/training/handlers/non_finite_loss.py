"""Stop when a loss is not finite."""

from __future__ import annotations

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys

from dwskd_monai.training.trainer import AUXILIARY_LOSS


class NonFiniteLossHandler:
    """Stop training with an error as soon as a loss is NaN or infinite.

    ``ignite.handlers.TerminateOnNan`` ends the run as if it had succeeded (exit code 0), after the optimizer has
    stepped. This handler raises before the backward pass, so the weights are the last good ones.
    """

    def attach(self, engine: Engine) -> None:
        """Check the losses of each iteration before they are differentiated."""
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
