from __future__ import annotations

import threading

import pytest
import torch.distributed as dist

from dwskd_monai.training import distributed
from dwskd_monai.training.distributed import RollCall, naming_frozen_processes, start_process_group


def test_what_is_wrong_is_said(monkeypatch):
    with pytest.raises(ValueError, match="backend must be one of nccl, gloo; got 'mpi'"):
        start_process_group("mpi")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(ValueError, match="must be started by torchrun"):
        start_process_group("gloo")
    monkeypatch.setenv("LOCAL_RANK", "63")
    with pytest.raises(ValueError, match="process 63 has no GPU of its own"):
        start_process_group("nccl")
    with pytest.raises(ValueError, match="timeout_minutes must be greater than 0, got 0"):
        start_process_group("gloo", 0)


@pytest.mark.slow
def test_the_process_that_does_not_answer_is_named():
    store = dist.HashStore()
    calls = [RollCall(store, rank, 3) for rank in range(3)]
    named: dict[int, list[str]] = {}
    waiting = [
        threading.Thread(target=lambda rank=rank: named.update({rank: calls[rank].silent(1.0)})) for rank in (0, 2)
    ]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    for silent in named.values():
        assert len(silent) == 1
        assert silent[0].startswith("process 1 (")
    assert calls[1].silent(1.0) == [], "it answers now"


def test_an_error_of_waiting_in_vain_says_who_did_not_answer(monkeypatch):
    store = dist.HashStore()
    first, _ = RollCall(store, 0, 2), RollCall(store, 1, 2)
    monkeypatch.setattr(distributed, "_roll_call", first)
    monkeypatch.setattr(distributed, "_SECONDS_TO_ANSWER", 0.2)
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    named = pytest.raises(TimeoutError, match=r"^process 1 \(.*, pid \d+\) did not answer .* --timeout_minutes")
    with named, naming_frozen_processes():
        raise RuntimeError("[gloo/unbound_buffer.cc:81] Timed out waiting 3000ms for recv operation to complete")
    with pytest.raises(RuntimeError, match="mat1 and mat2"), naming_frozen_processes():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
