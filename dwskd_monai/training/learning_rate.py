"""The learning rate of each epoch."""

from __future__ import annotations

from typing import Any

from monai.optimizers import WarmupCosineSchedule


class WarmupCosine(WarmupCosineSchedule):
    """Linear warm-up, then cosine decay to the end of the training, even if the training is resumed with more epochs.

    MONAI's schedule restores ``t_total`` with its state. If a training is resumed with more epochs, it goes beyond the
    end of the cosine, and the learning rate rises to its maximum again. This schedule keeps the length that it was made
    with: from the first resumed epoch on, the learning rate is that of a training with this length from the start.

    Args: see :class:`monai.optimizers.WarmupCosineSchedule`.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the number of finished epochs. Load the optimizer before: its learning rate is set again."""
        own = {"t_total": self.t_total, "warmup_steps": self.warmup_steps}
        super().load_state_dict({**state_dict, **own})
        self._last_lr = self.get_lr()
        for group, learning_rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = learning_rate
