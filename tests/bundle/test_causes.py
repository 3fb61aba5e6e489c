from __future__ import annotations

import os
import signal
import sys

import pytest
import torch
from monai.bundle import ConfigParser
from torch.utils.data import DataLoader, Dataset

from dwskd_monai.bundle.causes import said_of
from dwskd_monai.bundle.errors import BAD_INPUT, LOG, end_with_one_message

# As torch 2.15 words them
OUT_OF_SHARED_MEMORY = (
    "Unexpected bus error encountered in worker. This might be caused by insufficient shared memory (shm)."
)
BUS_ERROR = (
    "DataLoader worker (pid 77) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
    "shared memory. Please try to raise your shared memory limit."
)
CUDA = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 23.64 GiB of which 1.04 GiB is free."
)


class EndsItsProcess(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        return torch.zeros(1)


@pytest.fixture
def parser(tmp_path) -> ConfigParser:
    return ConfigParser({"num_workers": 2, "batch_size": 16, "image_size": 224, "output_dir": str(tmp_path / "out")})


def test_a_worker_process_that_was_killed_is_said_with_what_to_do(parser):
    with pytest.raises(RuntimeError) as caught:
        list(DataLoader(EndsItsProcess(), num_workers=1))
    said = said_of(caught.value, parser)
    assert said is not None
    assert said.startswith("a worker process was ended from outside, most often because memory ran out")
    assert "--num_workers 0 (now 2)" in said


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError(OUT_OF_SHARED_MEMORY), "--num_workers 0 (now 2)"),
        (RuntimeError(BUS_ERROR), "docker run --shm-size=8g"),
        (RuntimeError("unable to open shared memory object </torch_12_34> in read-write mode"), "--shm-size"),
        (RuntimeError("unable to write to file </torch_12_34_5>: No space left on device (28)"), "/dev/shm has "),
        (torch.OutOfMemoryError(CUDA), "--batch_size (now 16); in training, --accumulation_steps 2"),
        (torch.OutOfMemoryError(CUDA), "--image_size (now 224)"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
            "memory ran out",
        ),
        (MemoryError(), "memory ran out"),
        (OSError(12, "Cannot allocate memory"), "--num_workers (now 2)"),
        (OSError(24, "Too many open files"), "ulimit -n 65536"),
        (ValueError("Expected more than 1 value per channel when training, got input size [1, 8]"), "--batch_size 2"),
    ],
)
def test_an_error_of_the_machine_is_said_with_what_to_do(parser, error, expected):
    said = said_of(error, parser)
    assert said is not None
    assert expected in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "error",
    [ValueError("/data/torch_1/x.png: a damaged image file"), RuntimeError("mat1 and mat2"), OSError()],
)
def test_other_errors_are_not_taken_for_one_of_these(parser, error):
    assert said_of(error, parser) is None


def test_the_process_ends_with_one_line_and_the_traceback_is_kept(parser, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    end_with_one_message(parser, parser)
    error = torch.OutOfMemoryError(CUDA)
    with pytest.raises(SystemExit) as ended:
        sys.excepthook(type(error), error, None)
    assert ended.value.code == BAD_INPUT
    printed = capsys.readouterr().err.strip().splitlines()
    assert printed[-1].startswith("error: the GPU ran out of memory. Use a smaller batch: --batch_size (now 16)")
    assert len(printed) == 2, "the other one says where the traceback is"
    assert "CUDA out of memory" in (tmp_path / "out" / LOG).read_text()
