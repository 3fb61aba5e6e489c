"""The last layer of a network whose output still has places: what Grad-CAM needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from monai.networks.utils import eval_mode
from torch import Tensor, nn

Arrange = Callable[[Tensor], Tensor]


class NoFeatureMapError(ValueError):
    """The network has no layer that is known to have places."""


@dataclass(frozen=True)
class SpatialLayer:
    """A layer, and how its output becomes a map.

    Args:
        name: of the layer in the network.
        arrange: from its output to ``(B, C, h, w)``.
    """

    name: str
    arrange: Arrange


def spatial_layer(network: nn.Module, image: Tensor) -> SpatialLayer:
    """The last layer with places of a network of timm, which its ``feature_info`` names.

    A transformer has tokens in place of a map, the classes' own tokens first. If there are such tokens, the patches act
    on them in the last attention, so the layer is the one before it (as in pytorch-grad-cam).

    Args:
        network: the network.
        image: ``(1, C, H, W)``, to see the shapes of outputs.

    Raises:
        NoFeatureMapError: if the network is not one of timm, or its last layer has no places.
    """
    info = getattr(network, "feature_info", None)
    if not info:
        raise NoFeatureMapError("the network is not one of timm, so the layer with its last feature map is not known")
    name, channels = info[-1]["module"], info[-1]["num_chs"]
    output = _output_of(network, name, image)
    if isinstance(output, Tensor) and output.ndim == 4:
        if output.shape[1] == channels:
            return SpatialLayer(name, lambda features: features)
        if output.shape[3] == channels:
            return SpatialLayer(name, lambda features: features.permute(0, 3, 1, 2).contiguous())
    if isinstance(output, Tensor) and output.ndim == 3 and output.shape[2] == channels:
        return _of_tokens(network, name, output.shape[1])
    raise NoFeatureMapError(f"the output of {name}, the last layer of {type(network).__name__}, has no places")


def _of_tokens(network: nn.Module, name: str, count: int) -> SpatialLayer:
    """The layer of tokens ``(B, N, C)``, of which those of classes and registers come first."""
    for first in dict.fromkeys((int(getattr(network, "num_prefix_tokens", 0)), 0)):
        grid = _grid(network, count - first)
        if grid is not None:
            before = f"{name}.norm1"
            layer = before if first and before in dict(network.named_modules()) else name
            return SpatialLayer(layer, _arranged(first, *grid))
    raise NoFeatureMapError(f"the {count} tokens of {type(network).__name__} do not lie in a square")


def _grid(network: nn.Module, count: int) -> tuple[int, int] | None:
    embedding: Any = getattr(network, "patch_embed", None)
    grid = getattr(embedding, "grid_size", None)
    if grid is not None and math.prod(grid) == count:
        rows, columns = grid
        return rows, columns
    side = math.isqrt(max(count, 0))
    return (side, side) if side > 1 and side**2 == count else None


def _arranged(first: int, rows: int, columns: int) -> Arrange:
    def arrange(tokens: Tensor) -> Tensor:
        patches = tokens[:, first:].transpose(1, 2)
        return patches.reshape(len(patches), -1, rows, columns)

    return arrange


def _output_of(network: nn.Module, name: str, image: Tensor) -> Any:
    outputs: list[Any] = []
    hook = network.get_submodule(name).register_forward_hook(lambda module, inputs, output: outputs.append(output))
    try:
        with eval_mode(network), torch.no_grad():
            network(image)
    finally:
        hook.remove()
    return outputs[-1] if outputs else None
