"""The learning rate of each network and of each epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from monai.optimizers import WarmupCosineSchedule
from timm.optim import param_groups_weight_decay
from torch import nn
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


def parameter_groups(networks: Iterable[nn.Module], learning_rates: Sequence[float | None]) -> list[dict[str, Any]]:
    """The groups of parameters of an optimizer; biases and norms have no weight decay, as in timm.

    Args:
        networks: one or several.
        learning_rates: of the first network, of the second, and so on; there may be more of them than networks. None:
            that of the optimizer.

    Returns:
        Two groups for each learning rate: without weight decay, and with that of the optimizer.

    Examples:
        >>> student, teacher = nn.Linear(2, 3), nn.Linear(2, 3)
        >>> groups = parameter_groups([student, teacher], [None, 0.0002])
        >>> [(group.get("lr"), group.get("weight_decay"), len(group["params"])) for group in groups]
        [(None, 0.0, 1), (None, None, 1), (0.0002, 0.0, 1), (0.0002, None, 1)]
        >>> [len(group["params"]) for group in parameter_groups([student, teacher], [None, None])]
        [2, 2]
    """
    trained: dict[float | None, nn.ModuleList] = {}
    for network, learning_rate in zip(networks, learning_rates):
        trained.setdefault(learning_rate, nn.ModuleList()).append(network)
    groups = []
    for learning_rate, together in trained.items():
        own = {} if learning_rate is None else {"lr": learning_rate}
        for group in param_groups_weight_decay(together, weight_decay=1.0):
            decay = {} if group["weight_decay"] else {"weight_decay": 0.0}
            groups.append({"params": group["params"], **own, **decay})
    return groups
