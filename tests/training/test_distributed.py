from __future__ import annotations

import pytest

from dwskd_monai.training.distributed import start_process_group


def test_what_is_wrong_is_said(monkeypatch):
    with pytest.raises(ValueError, match="backend must be one of nccl, gloo; got 'mpi'"):
        start_process_group("mpi")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(ValueError, match="must be started by torchrun"):
        start_process_group("gloo")
    monkeypatch.setenv("LOCAL_RANK", "63")
    with pytest.raises(ValueError, match="process 63 has no GPU of its own"):
        start_process_group("nccl")
