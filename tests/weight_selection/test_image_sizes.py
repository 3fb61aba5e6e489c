"""Networks that are made for one image size: teacher, its file and the student may each be made for another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed, resize_rel_pos_bias_table_simple
from torch import Tensor, nn

from dwskd_monai.training import open_teacher
from dwskd_monai.weight_selection import select_pair, select_weights
from tests.networks import TINY_FIXED, wider


def network(name: str, size: int, **arguments: Any) -> nn.Module:
    return timm.create_model(name, in_chans=1, num_classes=3, img_size=size, **arguments)


@pytest.fixture(params=TINY_FIXED)
def name(request) -> str:
    return request.param


@pytest.fixture
def sizes(name) -> tuple[int, int]:
    """Of the teacher's file, and another; neither is the one that timm makes the network for."""
    return (70, 98) if "patch14" in name else (64, 96)


@pytest.fixture
def teacher(name, sizes, tmp_path) -> Path:
    """A file of a network that is twice as wide, with random values everywhere."""
    large = network(name, sizes[0], **wider(TINY_FIXED[name]))
    tensors = {key: torch.rand_like(value) if value.is_floating_point() else value
               for key, value in large.state_dict().items()}  # fmt: skip
    torch.save(tensors, tmp_path / "teacher.pt")
    return tmp_path / "teacher.pt"


def resampled(key: str, table: Tensor, student: nn.Module) -> Tensor:
    """A table of positions for the student's size, by timm's functions."""
    if key == "pos_embed":
        grid = list(student.patch_embed.grid_size)
        prefix = 0 if getattr(student, "no_embed_class", False) else student.num_prefix_tokens
        return resample_abs_pos_embed(table, grid, num_prefix_tokens=prefix)
    attention = student.get_submodule(key.rpartition(".")[0])
    shape = tuple(student.get_parameter(key).shape)
    return resize_rel_pos_bias_table_simple(table, tuple(attention.window_size), shape)


@pytest.mark.slow
def test_a_student_of_another_size_differs_by_its_positions_alone(name, sizes, teacher):
    arguments = TINY_FIXED[name]
    source = open_teacher(name, str(teacher), **wider(arguments))
    equal, other = (network(name, size, **arguments) for size in sizes)
    select_weights(source, equal)
    report = select_weights(source, other)
    selected = equal.state_dict()
    positions = {tensor.name for tensor in report.tensors if "resampled" in tensor.steps}
    for key, value in other.state_dict().items():
        if key in positions:
            torch.testing.assert_close(value, resampled(key, selected[key], other), msg=key)
        elif not key.startswith("head"):
            assert torch.equal(value, selected[key]), key
    assert positions == {key for key, value in other.state_dict().items() if value.shape != selected[key].shape}


@pytest.mark.slow
def test_two_students_share_as_little_at_any_size(name, sizes, teacher):
    source = open_teacher(name, str(teacher), **wider(TINY_FIXED[name]))
    overlaps = []
    for size in sizes:
        main, auxiliary = (network(name, size, **TINY_FIXED[name]) for _ in range(2))
        overlaps.append(select_pair(source, main, auxiliary).overlap)
        assert main.eval()(torch.randn(2, 1, size, size)).isfinite().all()
    assert overlaps[0] == pytest.approx(overlaps[1], abs=1e-3)
