"""Several networks as one, which a training makes and everything after it uses."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """The mean of the probabilities of several networks, as logits.

    Args:
        networks: each gives logits ``(B, C)``.

    Examples:
        >>> both = Ensemble(nn.Linear(4, 3), nn.Linear(4, 3))
        >>> image = torch.randn(2, 4)
        >>> mean = (both.networks[0](image).softmax(1) + both.networks[1](image).softmax(1)) / 2
        >>> torch.allclose(both(image).softmax(1), mean)
        True
    """

    def __init__(self, *networks: nn.Module) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """Log of the mean probabilities ``(B, C)``; their softmax is the mean itself."""
        each = torch.stack([network(images).float().log_softmax(1) for network in self.networks])
        return each.logsumexp(0) - math.log(len(self.networks))
