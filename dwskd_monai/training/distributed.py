"""Training in several processes, started by torchrun.

Ranks come from ``ignite.distributed``. Its ``initialize`` and ``auto_model`` do not do what is needed: on a machine
with GPUs they give each process a GPU even if the backend is gloo (``torch.cuda.set_device(local_rank)``, which fails
if there are fewer GPUs, and the network moves to ``idist.device()``). Here gloo means the CPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import ignite.distributed as idist
import torch
import torch.distributed as dist
import torch.distributed.nn  # imported before there is a group: its functions keep the one that they find
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dwskd_monai.training.checks import one_of

BACKENDS = ("nccl", "gloo")


def start_process_group(backend: str = "nccl") -> torch.device:
    """Join the process group of torchrun, if that has not been done.

    Args:
        backend: ``nccl`` for one GPU per process, ``gloo`` for CPU processes.

    Returns:
        The device of this process.

    Raises:
        ValueError: for another backend, if torchrun did not start this process, or there are too few GPUs.
    """
    one_of("backend", backend, BACKENDS)
    if "LOCAL_RANK" not in os.environ:
        raise ValueError(
            "multi_gpu_train.yaml must be started by torchrun: "
            "torchrun --standalone --nproc_per_node=N -m monai.bundle run training …"
        )
    local_rank = int(os.environ["LOCAL_RANK"])
    if backend == "nccl" and torch.cuda.device_count() <= local_rank:
        raise ValueError(
            f"process {local_rank} has no GPU of its own: {torch.cuda.device_count()} found; start fewer processes, "
            "or train on the CPU with --backend gloo"
        )
    if not dist.is_initialized():
        dist.init_process_group(backend)
    if backend == "gloo":
        return torch.device("cpu")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


def wrap(network: nn.Module) -> DistributedDataParallel:
    """``network`` with gradients averaged over the processes, on the device that it has."""
    device = next(network.parameters()).device
    return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


def unwrap(network: nn.Module) -> nn.Module:
    """The network itself, whether or not :func:`wrap` wrapped it."""
    return network.module if isinstance(network, DistributedDataParallel) else network


def is_not_first(device: torch.device) -> bool:
    """Whether another process than this one writes logs.

    Args:
        device: of this process; unused, but a config that gives it has called :func:`start_process_group` before.
    """
    return idist.get_rank() != 0


def leave_process_group(networks: Iterable[DistributedDataParallel]) -> None:
    """Leave the process group, so that none of its threads outlives this call.

    ``destroy_process_group``, which is all that ``idist.finalize`` calls, gives up its own reference; a wrapped network
    keeps the group and its threads. A thread of gloo that releases a tensor while Python ends aborts a training that
    had succeeded, with "terminate called without an active exception"
    (https://github.com/pytorch/pytorch/issues/190489).

    Args:
        networks: what :func:`wrap` returned; afterwards only their ``module`` can be used.
    """
    for network in networks:
        del network.reducer, network.logger, network.process_group
    dist.destroy_process_group()
