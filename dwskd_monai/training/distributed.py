"""Training in several processes, started by torchrun.

Ranks come from ``ignite.distributed``. Its ``initialize`` and ``auto_model`` are not used: on a machine with GPUs they
give each process a GPU even if the backend is gloo (``torch.cuda.set_device(local_rank)``, which fails if there are
fewer GPUs, and the network moves to ``idist.device()``). Here gloo means the CPU.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import ignite.distributed as idist
import torch
import torch.distributed as dist
import torch.distributed.nn  # imported before there is a group: its functions keep the group that they find
from torch import nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from dwskd_monai.training.checks import one_of

BACKENDS = ("nccl", "gloo")


_TIMED_OUT = re.compile(r"timed? ?out", re.IGNORECASE)  # in the errors of gloo, NCCL and the store
_SECONDS_TO_ANSWER = 10.0


class RollCall:
    """Finds the processes that do not answer, after an operation that waited for them has timed out.

    The errors of gloo and NCCL blame a healthy process: the one that timed out first.
    ``torch.distributed.monitored_barrier`` names the right ones, but not after an operation has failed, since gloo's
    connections are then broken. The store of torchrun does not belong to any of the processes.

    Args:
        store: the store that the processes share.
        rank: of this process.
        world_size: number of processes.
    """

    def __init__(self, store: Store, rank: int, world_size: int) -> None:
        self._store = PrefixStore("roll_call", store)
        self._rank = rank
        self._world_size = world_size
        self._store.set(f"name of {rank}", f"process {rank} ({socket.gethostname()}, pid {os.getpid()})")

    def silent(self, seconds: float) -> list[str]:
        """Names of the processes that do not answer; a process answers by calling this method.

        Args:
            seconds: how long to wait for answers.
        """
        self._store.set(f"answer of {self._rank}", "")
        deadline = time.monotonic() + seconds
        silent = list(range(self._world_size))
        while True:
            silent = [rank for rank in silent if not self._store.check([f"answer of {rank}"])]
            if not silent or time.monotonic() > deadline:
                return [self._store.get(f"name of {rank}").decode() for rank in silent]
            time.sleep(0.1)


_roll_call: RollCall | None = None  # of the process group that this process has joined


def start_process_group(backend: str = "nccl", timeout_minutes: float = 5) -> torch.device:
    """Join the process group of torchrun, if that has not been done.

    Args:
        backend: ``nccl`` for one GPU per process, ``gloo`` for CPU processes.
        timeout_minutes: how long processes wait for one that does not answer.

    Returns:
        The device of this process.

    Raises:
        ValueError: if the backend is another one, torchrun did not start this process, or there are too few GPUs.
    """
    one_of("backend", backend, BACKENDS)
    if not timeout_minutes > 0:
        raise ValueError(f"timeout_minutes must be greater than 0, got {timeout_minutes}")
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
        _join(backend, timedelta(minutes=timeout_minutes))
    if backend == "gloo":
        return torch.device("cpu")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


def _join(backend: str, timeout: timedelta) -> None:
    """Do the same as ``init_process_group``, but keep the store."""
    global _roll_call
    store, rank, world_size = next(rendezvous("env://", timeout=timeout))
    store.set_timeout(timeout)
    _roll_call = RollCall(store, rank, world_size)
    hook = sys.excepthook
    dist.init_process_group(
        backend, store=PrefixStore("process_group", store), rank=rank, world_size=world_size, timeout=timeout
    )
    sys.excepthook = hook  # torch wraps it, which loses what a hook writes before it ends the process


@contextmanager
def naming_frozen_processes() -> Iterator[None]:
    """If an operation waited for another process in vain, raise an error that names this process.

    Raises:
        TimeoutError: in place of an error of gloo; errors of NCCL end the process before they get here, unless
            ``TORCH_NCCL_BLOCKING_WAIT=1`` is set.
    """
    try:
        yield
    except RuntimeError as error:
        if _roll_call is None or not dist.is_initialized() or not _TIMED_OUT.search(str(error)):
            raise
        silent = _roll_call.silent(_SECONDS_TO_ANSWER)
        if not silent:
            raise
        raise TimeoutError(
            f"{' and '.join(silent)} did not answer within --timeout_minutes, so all processes end. Find out what "
            "held it up: a disk, the network, full memory"
        ) from error


def wrap(network: nn.Module) -> DistributedDataParallel:
    """``network`` with gradients averaged over the processes, on its own device."""
    device = next(network.parameters()).device
    return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


def unwrap(network: nn.Module) -> nn.Module:
    """The network itself, whether or not :func:`wrap` wrapped it."""
    return network.module if isinstance(network, DistributedDataParallel) else network


def is_not_first(device: torch.device) -> bool:
    """Whether a process other than this one writes the logs.

    Args:
        device: of this process; not used, but a config that passes it has called :func:`start_process_group` before.
    """
    return idist.get_rank() != 0


def leave_process_group(networks: Iterable[DistributedDataParallel]) -> None:
    """Leave the process group, so that none of its threads outlives this call.

    ``destroy_process_group``, which is all that ``idist.finalize`` calls, releases only its own reference; a wrapped
    network keeps the group and its threads. If a thread of gloo releases a tensor while Python ends, it aborts a
    training that has succeeded, with "terminate called without an active exception"
    (https://github.com/pytorch/pytorch/issues/190489).

    Args:
        networks: what :func:`wrap` returned; afterwards only their ``module`` can be used.
    """
    for network in networks:
        del network.reducer, network.logger, network.process_group
    dist.destroy_process_group()
