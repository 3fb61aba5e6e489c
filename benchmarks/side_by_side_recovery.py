"""Recovery in closed form for ``side_by_side.py``: selected weights that fit each other again, without a training."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from timm.layers import BatchNormAct2d, Conv2dSame, pad_same
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn

RIDGE = 0.01
"""Of the mean of the inputs' squares: how much a weight that the images say nothing about stays as it is."""
_SAMPLES = 65_536
"""Places that each convolution is fitted to, at most; of large maps, those of the first images."""


@torch.no_grad()
def refitted(
    student: EfficientNet, teacher: EfficientNet, channels: Mapping[str, Sequence[int]], images: Tensor
) -> EfficientNet:
    """A student whose convolutions give what the teacher's give, at the selected channels, as far as they can.

    A selected convolution has lost most of its inputs. One after the other gets the weights that, by least squares,
    make of the inputs that are left what the teacher's convolution makes of all of its inputs (CORP, arXiv 2602.05243).
    The last one of a stage also makes up for the blocks that the student does not have.

    Args:
        student: with weights that were selected from the teacher, an EfficientNet-Lite.
        teacher: an EfficientNet-Lite, for evaluation.
        channels: for each convolution, which of the teacher's outputs the student's are.
        images: ``(N, 1, H, W)``, without labels.
    """
    student = copy.deepcopy(student).eval()
    wanted = _outputs(teacher, images, channels)
    x = _refitted_layer(student.conv_stem, student.bn1, images, wanted["conv_stem"])
    for stage, blocks in student.blocks.named_children():
        for place, block in blocks.named_children():
            prefix, before = f"blocks.{stage}.{place}.", x
            layers = dict(block.named_children())
            convolutions = [name for name in layers if name.startswith("conv")]
            for number, name in enumerate(convolutions, start=1):
                target = wanted[prefix + name]
                norm = layers[f"bn{number}"]
                if name == convolutions[-1] and int(place) == len(blocks) - 1:
                    after = wanted[f"blocks.{stage}"]
                    assert isinstance(norm, BatchNormAct2d)
                    target = _before(norm, after - before if block.has_skip else after)
                x = _refitted_layer(layers[name], norm, x, target)
            x = x + before if block.has_skip else x
    _refitted_layer(student.conv_head, student.bn2, x, wanted["conv_head"])
    return student


def _outputs(teacher: EfficientNet, images: Tensor, channels: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Of each convolution and each stage that the student has, the channels that it took."""
    of_stages = {name.rsplit(".", 2)[0]: taken for name, taken in channels.items() if name.startswith("blocks.")}
    chosen = {**channels, **of_stages}  # the last convolution of a block has the channels of its stage
    parts: dict[str, list[Tensor]] = {name: [] for name in chosen}
    hooks = [
        teacher.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: parts[name].append(output[:, chosen[name]])
        )
        for name in chosen
    ]
    for batch in images.split(64):
        teacher(batch)
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(outputs) for name, outputs in parts.items()}


def _refitted_layer(convolution: nn.Conv2d, norm: nn.Module, x: Tensor, wanted: Tensor) -> Tensor:
    """What the layer makes of ``x``, after its weight was fitted to ``wanted``."""
    groups, weight = convolution.groups, convolution.weight.flatten(1)  # (C, inputs)
    few = x[: -(-_SAMPLES // wanted[0, 0].numel())]
    patches = _patches(convolution, few)  # (G, M, inputs)
    rest = (wanted[: len(few)] - convolution(few)).movedim(1, 0).flatten(1)  # (C, M)
    rest = rest.view(groups, -1, rest.shape[1])  # (G, C / G, M)
    gram = patches.mT @ patches
    size = gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    identity = torch.eye(gram.shape[1], dtype=gram.dtype)
    change = torch.linalg.solve(gram + (RIDGE * size + 1e-6) * identity, patches.mT @ rest.mT)  # (G, inputs, C / G)
    convolution.weight.copy_((weight + change.mT.reshape(weight.shape)).view_as(convolution.weight))
    made: Tensor = norm(convolution(x))
    return made


def _patches(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """What each output place sees, ``(groups, N · places, inputs)``."""
    if isinstance(convolution, Conv2dSame):
        x = pad_same(x, convolution.kernel_size, convolution.stride)
    assert not isinstance(convolution.padding, str), "those of timm are numbers"
    seen = F.unfold(
        x, convolution.kernel_size, padding=convolution.padding, stride=convolution.stride
    )  # (N, C · k², places)
    return seen.view(len(x), convolution.groups, -1, seen.shape[2]).permute(1, 0, 3, 2).flatten(1, 2)


def _before(norm: BatchNormAct2d, after: Tensor) -> Tensor:
    """What a batch norm without an activation made this of."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (after - norm.bias[:, None, None]) / scale[:, None, None] + norm.running_mean[:, None, None]
