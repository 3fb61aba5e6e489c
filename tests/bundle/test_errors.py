from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from dwskd_monai.bundle.errors import cause_of, message_of
from dwskd_monai.folders import UnusableFolderError, require_writable


class Broken(Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> torch.Tensor:
        raise ValueError("x.png: a damaged image file\nand a second line")


def test_the_message_of_a_worker_process_is_what_was_raised_there():
    with pytest.raises(ValueError, match="Original Traceback") as caught:
        next(iter(DataLoader(Broken(), num_workers=1)))
    assert message_of(caught.value) == "x.png: a damaged image file\nand a second line"


def test_an_error_without_a_message_has_its_name():
    assert message_of(ValueError()) == "ValueError"
    assert message_of(ValueError("Caught in the act")) == "Caught in the act"


def test_an_error_of_this_package_is_not_taken_for_one_of_monais_machinery():
    with pytest.raises(UnusableFolderError) as caught:
        require_writable("output_dir", Path("/proc/folder"))  # in which not even root can write
    assert caught.value.__cause__ is not None
    assert cause_of(caught.value) is caught.value


def test_errors_that_others_raise_from_one_another_are_not_unwrapped():
    inner, outer = ValueError("inner"), RuntimeError("outer")
    outer.__cause__ = inner
    assert cause_of(outer) is outer
