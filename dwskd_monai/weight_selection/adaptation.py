"""What is not selected by element: input convolutions, tables of positions, and linear layers as 1x1 convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed, resize_rel_pos_bias_table_simple
from timm.models import adapt_input_conv
from torch import Tensor, nn


def misfit(name: str, source_shape: Sequence[int], shape: Sequence[int]) -> str:
    """How a message about a tensor that does not fit begins."""
    return f"{name}: teacher {tuple(source_shape)} does not fit student {tuple(shape)}"


def reshaped(name: str, source: Tensor, shape: Sequence[int]) -> Tensor:
    """A linear layer's weight as a 1x1 convolution's, or the other way round; any other tensor as it is.

    They compute the same: ConvNeXt has one or the other, by its size.
    """
    if source.ndim == len(shape):
        return source
    core = min(source.ndim, len(shape))
    if any(length != 1 for length in (*source.shape[core:], *shape[core:])):
        raise ValueError(misfit(name, source.shape, shape))
    return source.reshape(*source.shape[:core], *(1 for _ in range(len(shape) - core)))


def adapted_input(name: str, source: Tensor, channels: int) -> Tensor:
    """The weight ``(out, in, height, width)`` of an input convolution for another number of channels, as timm does."""
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
    """A table of positions for the student's grid or window; None if ``name`` is no such table.

    Args:
        name: of the student's tensor.
        source: the teacher's tensor, all of its channels or some.
        shape: of the student's tensor, of which only the positions matter.
        teacher: the large network; the grid of its position embedding is asked for.
        student: the small network.

    Raises:
        ValueError: if the two have another number of prefix tokens.
    """
    kind = name.rpartition(".")[2]
    if kind == "relative_position_bias_table":
        window: Any = student.get_submodule(name.rpartition(".")[0])
        length, heads = shape[0], source.shape[1]
        return torch.as_tensor(resize_rel_pos_bias_table_simple(source, tuple(window.window_size), (length, heads)))
    if kind not in ("pos_embed", "position_embeddings"):
        return None
    if source.ndim == 4:  # (1, channels or height, …) of a network that keeps its grid
        return None
    new = _grid(student)
    prefix = shape[1] - math.prod(new)
    old = _grid(teacher)
    if source.shape[1] != prefix + math.prod(old):  # a file of the teacher at another size, square as timm assumes
        side = round((source.shape[1] - prefix) ** (1 / len(new)))
        old = [side] * len(new)
    if prefix < 0 or source.shape[1] != prefix + math.prod(old):
        raise ValueError(
            f"{misfit(name, source.shape, shape)}: a grid of {old} and another number of prefix tokens than the "
            f"student's {prefix}; both need the same class and register tokens"
        )
    if len(new) == 2:
        return resample_abs_pos_embed(source, new, old_size=old, num_prefix_tokens=prefix)
    volume = source[:, prefix:].reshape(1, *old, source.shape[2]).movedim(-1, 1)
    volume = F.interpolate(volume.float(), size=new, mode="trilinear").to(source.dtype)
    return torch.cat([source[:, :prefix], volume.flatten(2).mT], dim=1)


def _grid(network: Any) -> list[int]:
    """Patches along each axis of a ViT of timm or MONAI."""
    if hasattr(network, "patch_embed"):
        return list(network.patch_embed.grid_size)
    embedding = network.patch_embedding
    dimensions = embedding.patch_embeddings.weight.ndim - 2
    side = round(int(embedding.n_patches) ** (1 / dimensions))
    return [side] * dimensions
