"""What a config of the tests calls in each process of a distributed training."""

from __future__ import annotations

import torch.distributed as dist
from torch import nn


def assert_same_parameters(networks: nn.Module) -> None:
    """Raise where a process has other parameters than the first."""
    for name, parameter in networks.named_parameters():
        first = parameter.detach().clone()
        dist.broadcast(first, src=0)
        if not first.equal(parameter):
            raise AssertionError(f"process {dist.get_rank()} has another {name} than the first")
