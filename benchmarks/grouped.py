"""Many EfficientNet-Lite networks of one architecture as one network, so that they train side by side on a GPU.

A small network with batches of 16 leaves a GPU idle: nearly all of a step is the time to start kernels. Here each layer
of all networks is one operation, a batched matrix product or a convolution with groups. No network sees another one:
``tests/benchmarks/test_grouped.py`` compares them with networks that train alone. A CPU is busy with one network:
there, a step of ``Alone`` takes a third of the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from timm.layers import BatchNormAct2d, Conv2dSame, pad_same
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn


class Grouped:
    """R networks; their parameters and buffers are stacked along a first axis.

    Args:
        network: one of their architecture, EfficientNet-Lite of any width; its weights are not used.
        states: the state dict of each.
        device: where they are.
    """

    def __init__(self, network: EfficientNet, states: Sequence[Mapping[str, Tensor]], device: torch.device) -> None:
        self.network = network
        self.parameters = {
            name: torch.stack([state[name] for state in states]).to(device).requires_grad_()
            for name, _ in network.named_parameters()
        }
        self.buffers = {
            name: torch.stack([state[name] for state in states]).to(device)
            for name, buffer in network.named_buffers()
            if buffer.is_floating_point()
        }

    def __len__(self) -> int:
        return len(self.parameters["classifier.weight"])

    def part(self, begin: int, end: int) -> Grouped:
        """Networks ``begin`` to ``end``, as they are now."""
        states = [self.state(index) for index in range(begin, end)]
        return type(self)(self.network, states, self.parameters["classifier.weight"].device)

    def state(self, index: int) -> dict[str, Tensor]:
        """The state dict of one network."""
        return {name: value[index].detach() for name, value in (self.parameters | self.buffers).items()}

    def __call__(self, images: Tensor, training: bool) -> Tensor:
        """Logits ``(R, B, K)`` of images ``(R, B, 1, H, W)``: each network has its own."""
        weights = self.parameters["classifier.weight"]
        return torch.bmm(self.pooled(images, training), weights.mT) + self.parameters["classifier.bias"][:, None]

    def pooled(self, images: Tensor, training: bool) -> Tensor:
        """What the classifier gets, ``(R, B, C)``."""
        pooled = self.features(images, training)[-1].mean((2, 3))
        return pooled.view(len(self), -1, pooled.shape[1]).mT

    def features(self, images: Tensor, training: bool) -> list[Tensor]:
        """What each stage makes of images, and the last convolution after them: ``(R · C, B, H, W)`` each."""
        return self._stages(images.squeeze(2), training)

    def _stages(self, x: Tensor, training: bool) -> list[Tensor]:
        """Features of the form that ``_layer`` takes and returns, here ``(R · C, B, H, W)``."""
        features = []
        for name, layer in self.network.named_children():
            if name == "blocks":
                for stage, blocks in layer.named_children():
                    for place, block in blocks.named_children():
                        after = self._layers(x, f"blocks.{stage}.{place}.", block, training)
                        x = after + x if block.has_skip else after
                    features.append(x)
            elif isinstance(layer, (nn.Conv2d, BatchNormAct2d)):
                x = self._layer(x, name, layer, training)
        return [*features, x]

    def _layers(self, x: Tensor, prefix: str, block: nn.Module, training: bool) -> Tensor:
        for name, layer in block.named_children():
            if isinstance(layer, (nn.Conv2d, BatchNormAct2d)):
                x = self._layer(x, prefix + name, layer, training)
            elif not isinstance(layer, nn.Identity):
                raise ValueError(f"{prefix}{name}: {type(layer).__name__} is not known; give an EfficientNet-Lite")
        return x

    def _layer(self, x: Tensor, name: str, layer: nn.Conv2d | BatchNormAct2d, training: bool) -> Tensor:
        if isinstance(layer, nn.Conv2d):
            return self._convolve(x, self.parameters[f"{name}.weight"], layer)
        flat = x.reshape(1, len(x), -1)
        flat = F.batch_norm(
            flat,
            self.buffers[f"{name}.running_mean"].view(-1),
            self.buffers[f"{name}.running_var"].view(-1),
            self.parameters[f"{name}.weight"].view(-1),
            self.parameters[f"{name}.bias"].view(-1),
            training,
            layer.momentum or 0.0,
            layer.eps,
        )
        activated: Tensor = layer.act(flat)
        return activated.view(x.shape)

    def _convolve(self, x: Tensor, weight: Tensor, layer: nn.Conv2d) -> Tensor:
        if layer.kernel_size[0] == 1:
            products = torch.bmm(weight.flatten(2), x.reshape(len(self), -1, x[0].numel()))
            return products.view(-1, *x.shape[1:])
        x = x.transpose(0, 1)  # (B, R · C, H, W)
        x = _convolved(x.contiguous(), weight.flatten(0, 1), layer, len(self) * layer.groups)
        return x.transpose(0, 1).contiguous()


class Alone(Grouped):
    """One network, as a ``Grouped`` of one, with channels last in memory: for a CPU."""

    def features(self, images: Tensor, training: bool) -> list[Tensor]:
        return [stage.transpose(0, 1) for stage in self._stages(images.squeeze(0), training)]  # (C, B, H, W) each

    def _layer(self, x: Tensor, name: str, layer: nn.Conv2d | BatchNormAct2d, training: bool) -> Tensor:
        """As ``(B, C, H, W)``."""
        if isinstance(layer, nn.Conv2d):
            convolved = _convolved(x, self.parameters[f"{name}.weight"].squeeze(0), layer, layer.groups)
            return convolved.contiguous(memory_format=torch.channels_last)
        mean, var = (self.buffers[f"{name}.{part}"].squeeze(0) for part in ("running_mean", "running_var"))
        weight, bias = (self.parameters[f"{name}.{part}"].squeeze(0) for part in ("weight", "bias"))
        activated: Tensor = layer.act(
            F.batch_norm(x, mean, var, weight, bias, training, layer.momentum or 0.0, layer.eps)
        )
        return activated


def _convolved(x: Tensor, weight: Tensor, layer: nn.Conv2d, groups: int) -> Tensor:
    """``(B, C, H, W)`` after a layer's convolution with another weight."""
    if isinstance(layer, Conv2dSame):
        x = pad_same(x, layer.kernel_size, layer.stride)
    return F.conv2d(x, weight, None, layer.stride, layer.padding, groups=groups)


class GroupedAdamW:
    """AdamW as ``timm.optim.create_optimizer_v2`` makes it; the gradient of each network is clipped on its own.

    Args:
        networks: those that it trains.
        more: parameters beside theirs, with a first axis of networks.
        weight_decay: of weights that are not of a norm.
        clip_grad_norm: largest norm of the gradient of one network.
    """

    def __init__(
        self,
        networks: Grouped,
        more: Sequence[Tensor] = (),
        weight_decay: float = 0.05,
        clip_grad_norm: float = 5.0,
    ) -> None:
        self.parameters = [*networks.parameters.values(), *more]
        self.clip_grad_norm = clip_grad_norm
        # a vector of one network, a bias or a part of a norm, has two axes here
        groups = [
            {"params": [each for each in self.parameters if each.dim() > 2], "weight_decay": weight_decay},
            {"params": [each for each in self.parameters if each.dim() <= 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, fused=True)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """One step, after which there are no gradients."""
        gradients = [each.grad for each in self.parameters if each.grad is not None]
        norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
        shrink = (self.clip_grad_norm / (norms + 1e-6)).clamp(max=1)
        for gradient in gradients:
            gradient.mul_(shrink.view(-1, *[1] * (gradient.dim() - 1)))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()
