"""The learning rate of each epoch."""

from __future__ import annotations

import math
from typing import Any

from monai.optimizers import WarmupCosineSchedule
from torch.optim import Optimizer


class WarmupCosine(WarmupCosineSchedule):
    """Linear warm-up, then cosine decay to the end of the training, even if the training is resumed with more epochs.

    MONAI's schedule restores ``t_total`` with its state. If a training is resumed with more epochs, it goes beyond the
    end of the cosine, and the learning rate rises to its maximum again. This schedule keeps the length that it was made
    with: from the first resumed epoch on, the learning rate is that of a training with this length from the start.

    Args:
        optimizer, warmup_steps, t_total, options: see :class:`monai.optimizers.WarmupCosineSchedule`.
        restart: the epoch after which all this begins again, for the rest of ``t_total``; None: it does not.
    """

    def __init__(
        self, optimizer: Optimizer, warmup_steps: int, t_total: int, restart: int | None = None, **options: Any
    ) -> None:
        self._lengths = (t_total,) if restart is None else (restart, t_total - restart)
        super().__init__(optimizer, warmup_steps, t_total, **options)

    def lr_lambda(self, step: int) -> float:
        """Share of the learning rate in an epoch."""
        first, *rest = self._lengths
        if rest and step >= first:
            return self._share(step - first, rest[0])
        return self._share(step, first)

    def _share(self, step: int, length: int) -> float:
        warmup_steps = min(self.warmup_steps, length)
        if step < warmup_steps:
            return float(self.warmup_multiplier + (1 - self.warmup_multiplier) * step / warmup_steps)
        progress = (step - warmup_steps) / max(1, length - warmup_steps)
        return max(0.0, 0.5 * (1 + math.cos(math.pi * self.cycles * 2 * progress)))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the number of finished epochs. Load the optimizer before: its learning rate is set again."""
        own = {name: getattr(self, name) for name in ("t_total", "warmup_steps", "_lengths")}
        super().load_state_dict({**state_dict, **own})
        self._last_lr = self.get_lr()
        for group, learning_rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = learning_rate
