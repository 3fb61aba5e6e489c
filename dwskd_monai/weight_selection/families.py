"""Which axes of which tensors are one coupled dimension, for each family of networks.

A *coupled dimension* is a set of axes that must be subset alike: the residual width occurs in every norm, every
projection into the residual stream and every projection out of it. A :class:`Family` declares for each tensor one
:class:`Axis` per dimension of the tensor; ``None`` is an axis that both networks must have in the same length (the
sides of a kernel, for instance). A further family is one more :class:`Family`, given to :func:`register_family`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from timm.models import ConvNeXt, VisionTransformer
from torch import nn

INPUT_CHANNELS = "input channels"
POSITIONS = "positions"


@dataclass(frozen=True)
class Axis:
    """One axis of a tensor.

    Args:
        dimension: the coupled dimension that it belongs to.
        parts: equal parts that are fused along the axis, each subset alike (3 for a fused q, k, v projection).
        unit: neighbouring elements that are taken as a whole (the width of an attention head).
    """

    dimension: str
    parts: int = 1
    unit: int = 1

    def size(self, length: int) -> int:
        """Number of selectable elements of an axis of this length."""
        return length // (self.parts * self.unit)

    def expand(self, elements: list[int], length: int) -> list[int]:
        """Positions along an axis of this length for the selected elements."""
        part = length // self.parts
        return [
            start * part + element * self.unit + inner
            for start in range(self.parts)
            for element in elements
            for inner in range(self.unit)
        ]


Axes = tuple[Axis | None, ...]


@dataclass(frozen=True)
class Family:
    """A family of networks that weight selection understands.

    Args:
        name: what messages call it.
        network: the class of its networks.
        axes: the axes of every tensor but the classifier's, by its name in the state dict.
        stages: module names of the containers of repeated blocks; layers are selected in each.
    """

    name: str
    network: type[nn.Module]
    axes: Callable[[nn.Module], dict[str, Axes]]
    stages: Callable[[nn.Module], list[str]]


class _Declaration:
    """Collects the axes of a network's tensors, module by module."""

    def __init__(self) -> None:
        self.axes: dict[str, Axes] = {}

    def weight(self, name: str, module: nn.Module, out: Axis | None, into: Axis | None) -> None:
        """A linear layer or convolution ``(out, into, *kernel)`` and its bias ``(out,)``."""
        weight = module.weight
        assert isinstance(weight, nn.Parameter)
        self.axes[f"{name}.weight"] = (out, into, *(None for _ in weight.shape[2:]))
        if module.bias is not None:
            self.axes[f"{name}.bias"] = (out,)

    def along(self, name: str, module: nn.Module, axis: Axis | None) -> None:
        """A module whose tensors all run along one dimension: a norm, a layer scale, nothing at all."""
        for key, tensor in module.state_dict().items():
            self.axes[f"{name}.{key}"] = tuple(axis if length > 1 else None for length in tensor.shape)


def _convnext_axes(model: nn.Module) -> dict[str, Axes]:
    """ConvNeXt and ConvNeXt V2 of timm: one residual width per stage, one hidden width per block."""
    assert isinstance(model, ConvNeXt)
    declare = _Declaration()
    width = Axis("width.0")
    channels: Axis | None = Axis(INPUT_CHANNELS)
    convolutions = [name for name, child in model.stem.named_children() if isinstance(child, nn.Conv2d)]
    for name, child in model.stem.named_children():
        if isinstance(child, nn.Conv2d):
            out = width if name == convolutions[-1] else Axis(f"stem.{name}")
            declare.weight(f"stem.{name}", child, out, channels)
            channels = out
        else:
            declare.along(f"stem.{name}", child, channels)
    for i, stage in enumerate(model.stages):
        into, width = width, Axis(f"width.{i}")
        if not isinstance(stage.downsample, nn.Identity):
            declare.along(f"stages.{i}.downsample.0", stage.downsample[0], into)
            declare.weight(f"stages.{i}.downsample.1", stage.downsample[1], width, into)
        for j, block in enumerate(stage.blocks):
            name, hidden = f"stages.{i}.blocks.{j}", Axis(f"stages.{i}.blocks.{j}.hidden")
            declare.weight(f"{name}.conv_dw", block.conv_dw, width, None)
            declare.along(f"{name}.norm", block.norm, width)
            declare.weight(f"{name}.mlp.fc1", block.mlp.fc1, hidden, width)
            if hasattr(block.mlp, "grn"):
                declare.along(f"{name}.mlp.grn", block.mlp.grn, hidden)
            declare.weight(f"{name}.mlp.fc2", block.mlp.fc2, width, hidden)
            if block.gamma is not None:
                declare.axes[f"{name}.gamma"] = (width,)
    declare.along("norm_pre", model.norm_pre, width)
    declare.along("head.norm", model.head.norm, width)
    return declare.axes


def _convnext_stages(model: nn.Module) -> list[str]:
    assert isinstance(model, ConvNeXt)
    return [f"stages.{i}.blocks" for i in range(len(model.stages))]


def _vit_axes(model: nn.Module) -> dict[str, Axes]:
    """ViT and DeiT of timm: one residual width, whole heads and one hidden width per block."""
    assert isinstance(model, VisionTransformer)
    declare = _Declaration()
    width = Axis("width")
    declare.weight("patch_embed.proj", model.patch_embed.proj, width, Axis(INPUT_CHANNELS))
    declare.along("patch_embed.norm", model.patch_embed.norm, width)
    for name in ("cls_token", "reg_token", "dist_token"):
        if getattr(model, name, None) is not None:
            declare.axes[name] = (None, None, width)
    if model.pos_embed is not None:
        declare.axes["pos_embed"] = (None, Axis(POSITIONS), width)
    for j, block in enumerate(model.blocks):
        name, hidden = f"blocks.{j}", Axis(f"blocks.{j}.hidden")
        head_width = block.attn.head_dim
        heads = Axis(f"blocks.{j}.heads", unit=head_width)
        declare.weight(f"{name}.attn.qkv", block.attn.qkv, Axis(heads.dimension, parts=3, unit=head_width), width)
        declare.along(f"{name}.attn.q_norm", block.attn.q_norm, None)
        declare.along(f"{name}.attn.k_norm", block.attn.k_norm, None)
        declare.along(f"{name}.attn.norm", block.attn.norm, heads)
        declare.weight(f"{name}.attn.proj", block.attn.proj, width, heads)
        declare.weight(f"{name}.mlp.fc1", block.mlp.fc1, hidden, width)
        declare.along(f"{name}.mlp.norm", block.mlp.norm, hidden)
        declare.weight(f"{name}.mlp.fc2", block.mlp.fc2, width, hidden)
        for child in ("norm1", "norm2", "ls1", "ls2"):
            declare.along(f"{name}.{child}", getattr(block, child), width)
    for name in ("norm_pre", "norm", "fc_norm"):
        declare.along(name, getattr(model, name), width)
    return declare.axes


_FAMILIES: list[Family] = [
    Family(
        "ConvNeXt",
        ConvNeXt,
        _convnext_axes,
        _convnext_stages,
    ),
    Family("ViT", VisionTransformer, _vit_axes, lambda model: ["blocks"]),
]


def register_family(family: Family) -> None:
    """Teach weight selection a further family; it is asked before the ones that are known already."""
    _FAMILIES.insert(0, family)


def family_of(teacher: nn.Module, student: nn.Module) -> Family:
    """The family that both networks belong to.

    Raises:
        ValueError: if there is none, or if they are of different families.
    """
    known = ", ".join(family.name for family in _FAMILIES)
    found = []
    for role, model in (("teacher", teacher), ("student", student)):
        family = next((family for family in _FAMILIES if isinstance(model, family.network)), None)
        if family is None:
            raise ValueError(f"{role}: no weight selection for {type(model).__name__}; known families: {known}")
        found.append(family)
    if found[0] is not found[1]:
        raise ValueError(
            f"teacher and student must be of one family, got teacher {type(teacher).__name__} ({found[0].name}) "
            f"and student {type(student).__name__} ({found[1].name}); choose a student of the teacher's family"
        )
    return found[0]


def in_classifier(name: str, model: nn.Module) -> bool:
    """Whether a state dict's tensor belongs to ``model``'s classifier, found through timm's ``default_cfg``."""
    names: str | Iterable[str] = cast(Any, model).default_cfg["classifier"]
    modules = (names,) if isinstance(names, str) else names
    return any(name.startswith(f"{module}.") for module in modules)
