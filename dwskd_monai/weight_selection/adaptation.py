"""What selecting elements does not do: the channels of an image, positions, and linear layers as 1x1 convolutions.

The channels of an image and positions are not selected, but adapted and resampled. The elements of a linear layer are
selected as any others; then its weight gets the shape of a 1x1 convolution's, or the reverse. :func:`fitted` does all
that one tensor needs; the plan asks for single steps without values, to find what does not fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed, resize_rel_pos_bias_table_simple
from timm.models import adapt_input_conv
from torch import Tensor, nn

from dwskd_monai.weight_selection.tensors import TensorSelection


def fitted(part: Tensor, tensor: TensorSelection, teacher: nn.Module, student: nn.Module) -> Tensor:
    """The selected part of one of the teacher's tensors as the student needs it, after all steps that were planned.

    Args:
        part: what is at the selected positions of the teacher's tensor.
        tensor: the plan of this tensor.
        teacher: the large network, for the grid of its position embedding.
        student: the small network.

    Returns:
        A tensor of the student's shape.
    """
    value = reshaped(tensor.name, part, tensor.shape)
    if "adapted" in tensor.steps:
        value = adapted_input(tensor.name, value, tensor.shape[1])
    if "resampled" in tensor.steps:
        resampled = resampled_positions(tensor.name, value, tensor.shape, teacher, student)
        assert resampled is not None  # so the plan found
        value = resampled
    if "rescaled" in tensor.steps:
        assert tensor.source_shape is not None  # it is taken from the teacher
        value = value * (tensor.source_shape[1] / tensor.shape[1]) ** 0.5
    return value


def misfit(name: str, source_shape: Sequence[int], shape: Sequence[int]) -> str:
    """The beginning of a message about a tensor that does not fit."""
    return f"{name}: teacher {tuple(source_shape)} does not fit student {tuple(shape)}"


def reshaped(name: str, source: Tensor, shape: Sequence[int]) -> Tensor:
    """The weight of a linear layer as that of a 1x1 convolution, or the reverse; any other tensor as it is.

    Both compute the same: a ConvNeXt has linear layers or convolutions, depending on its size.

    Args:
        name: of the student's tensor, for messages.
        source: the teacher's tensor.
        shape: of the student's tensor; only its number of axes matters.

    Raises:
        ValueError: if one of the tensors has more axes than the other, and not all of these have length 1.
    """
    if source.ndim == len(shape):
        return source
    core = min(source.ndim, len(shape))
    if any(length != 1 for length in (*source.shape[core:], *shape[core:])):
        raise ValueError(misfit(name, source.shape, shape))
    return source.reshape(*source.shape[:core], *(1 for _ in range(len(shape) - core)))


def adapted_input(name: str, source: Tensor, channels: int) -> Tensor:
    """The weight ``(out, in, height, width)`` of an input convolution for another number of channels, as timm does.

    Raises:
        ValueError: if the weight is of another shape, or of a number of channels other than 3.
    """
    if source.shape[1] == channels:
        return source
    if source.shape[1] != 3 or source.ndim != 4:
        raise ValueError(
            f"{misfit(name, source.shape, (source.shape[0], channels, *source.shape[2:]))}: timm adapts only an input "
            "convolution of 3 channels; make the student with the teacher's channels"
        )
    return torch.as_tensor(adapt_input_conv(channels, source))


def resampled_positions(
    name: str, source: Tensor, shape: Sequence[int], teacher: nn.Module, student: nn.Module
) -> Tensor | None:
    """A table of positions for the student's grid or window; None if ``name`` is not a table of positions.

    Args:
        name: of the student's tensor.
        source: the teacher's tensor, with all or some of its channels.
        shape: of the student's tensor, of which only the positions matter.
        teacher: the large network, for the grid of its position embedding.
        student: the small network.

    Raises:
        ValueError: if the two networks differ in their number of prefix tokens.
    """
    module, _, kind = name.rpartition(".")
    if kind == "relative_position_bias_table":
        attention: Any = student.get_submodule(module)
        heads_first = source.ndim == 3  # MaxViT's table is (heads, height, width), others' (positions, heads)
        table_shape = (source.shape[0], *shape[1:]) if heads_first else (shape[0], source.shape[1])
        return torch.as_tensor(resize_rel_pos_bias_table_simple(source, tuple(attention.window_size), table_shape))
    if kind in ("pos_embed", "position_embeddings") and source.ndim == 3:  # of 4 axes if a network keeps its grid
        return _resampled_embedding(name, source, shape, _grid(teacher), _grid(student))
    return None


def _resampled_embedding(
    name: str, source: Tensor, shape: Sequence[int], teacher_grid: list[int], grid: list[int]
) -> Tensor:
    """A position embedding ``(1, prefix tokens + positions, channels)`` for another grid."""
    prefix = shape[1] - math.prod(grid)
    if source.shape[1] != prefix + math.prod(teacher_grid):  # a file of the teacher at another size, square in timm
        side = round((source.shape[1] - prefix) ** (1 / len(grid)))
        teacher_grid = [side] * len(grid)
    if prefix < 0 or source.shape[1] != prefix + math.prod(teacher_grid):
        raise ValueError(
            f"{misfit(name, source.shape, shape)}: a grid of {teacher_grid}, and a number of prefix tokens other "
            f"than the student's {prefix}; both need the same class and register tokens"
        )
    if len(grid) == 2:
        return resample_abs_pos_embed(source, grid, old_size=teacher_grid, num_prefix_tokens=prefix)
    volume = source[:, prefix:].reshape(1, *teacher_grid, source.shape[2]).movedim(-1, 1)
    volume = F.interpolate(volume.float(), size=grid, mode="trilinear").to(source.dtype)
    return torch.cat([source[:, :prefix], volume.flatten(2).mT], dim=1)


def _grid(network: Any) -> list[int]:
    """Patches along each axis of a ViT of timm or MONAI."""
    if hasattr(network, "patch_embed"):
        return list(network.patch_embed.grid_size)
    embedding = network.patch_embedding
    dimensions = embedding.patch_embeddings.weight.ndim - 2
    side = round(int(embedding.n_patches) ** (1 / dimensions))
    return [side] * dimensions
