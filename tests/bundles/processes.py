"""What a config of the tests calls in each process of a distributed training."""

from __future__ import annotations

import time
from pathlib import Path

import torch.distributed as dist
from torch import Tensor, nn

from dwskd_monai.training import DistillationTerm, StudentOutput


class Freezing(DistillationTerm):
    """A loss with which the second process stands still, as one does that waits for a disk."""

    def __init__(self, temperature: float) -> None:
        super().__init__()  # a temperature is what the config gives

    def forward(self, student: StudentOutput, peer: StudentOutput) -> Tensor:
        if dist.get_rank() == 1:
            time.sleep(600)
        return (student.logits - peer.logits).square().mean()


def assert_same_parameters(networks: nn.Module) -> None:
    """Raise where a process has other parameters than the first."""
    for name, parameter in networks.named_parameters():
        first = parameter.detach().clone()
        dist.broadcast(first, src=0)
        if not first.equal(parameter):
            raise AssertionError(f"process {dist.get_rank()} has another {name} than the first")


def assert_threads_of_gloo(there: bool) -> None:
    """Raise where this process has threads of a process group and should have none, or has none and should."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    if ("pt_gloo_runloop" in names) != there:
        raise AssertionError(f"threads of gloo expected: {there}; found {names}")
