"""Rivals of soft labels in ``side_by_side.py``: other ways to learn from images without labels, and another start.

Each is written for stacks of networks (``grouped.py``), after its paper. What is simpler here: FixMatch sees as many
images without labels as with them (in the paper seven times as many), and its weights are not averaged; mean teacher
compares by the softened divergence of the bundles, and takes over the statistics of batch norms; BYOL has a predictor
of one layer, no projection, and strong views for the student alone.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from grouped import Grouped
from scipy.fft import dct, idct
from timm.models.efficientnet import EfficientNet
from torch import Tensor

from dwskd_monai.weight_selection import select_layers

CONFIDENT = 0.95
MOMENTUM = 0.99
_ERASED = (0.2, 0.4)  # of a side
_FAR = 0.2  # by which a strong view is scaled, beside what the weak one is


def strengthened(images: Tensor, generator: torch.Generator) -> Tensor:
    """Strong views of weak ones, ``(M, 1, H, W)``: scaled once more, noisier, and with a rectangle of middle gray.

    Nothing is mirrored, and no gray value changes otherwise: Hounsfield units keep their meaning.
    """
    count, side = len(images), images.shape[-1]

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator, device=images.device)

    scale = uniform(1 - _FAR, 1 + _FAR)
    none = torch.zeros_like(scale)
    theta = torch.stack([torch.stack([scale, none, none], 1), torch.stack([none, scale, none], 1)], 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    images = images + uniform(0, 0.2)[:, None, None, None] * noise
    places = torch.arange(side, device=images.device)
    erased = []
    for _ in range(2):
        length = uniform(*_ERASED) * side
        first = uniform(0, 1) * (side - length)
        erased.append((places >= first[:, None]) & (places < (first + length)[:, None]))
    hidden = (erased[0][:, :, None] & erased[1][:, None, :])[:, None]
    return images.masked_fill(hidden, 0.0)


def fixmatch_loss(weak: Tensor, strong: Tensor) -> Tensor:
    """``(R,)`` of logits ``(R, B, K)`` of two views: the class of the weak view, if it is sure, for the strong one.

    FixMatch, arXiv 2001.07685.
    """
    sureness, classes = weak.detach().softmax(2).max(2)
    losses = F.cross_entropy(strong.flatten(0, 1), classes.flatten(), reduction="none").view(classes.shape)
    return (losses * (sureness >= CONFIDENT)).mean(1)


class MovingAverage:
    """The moving average of networks while they learn: the teacher of mean teacher (arXiv 1703.01780)."""

    def __init__(self, networks: Grouped) -> None:
        self.networks = networks.part(0, len(networks))

    @torch.no_grad()
    def follow(self, networks: Grouped) -> None:
        """After a step of the networks."""
        for name, average in self.networks.parameters.items():
            average.lerp_(networks.parameters[name], 1 - MOMENTUM)
        for name, average in self.networks.buffers.items():
            average.copy_(networks.buffers[name])


def view_loss(features: Tensor, predictor: Tensor, target: Tensor) -> Tensor:
    """``(R,)``: how far what a network predicts of one view is from what its moving average makes of another.

    After BYOL, arXiv 2006.07733.

    Args:
        features: of one view, ``(R, B, C)``.
        predictor: ``(R, C, C)``.
        target: of the other view, ``(R, B, C)``.
    """
    predicted = F.normalize(torch.bmm(features, predictor), dim=2)
    return (2 - 2 * (predicted * F.normalize(target.detach(), dim=2)).sum(2)).mean(1)


def truncated(student: EfficientNet, teacher: EfficientNet) -> EfficientNet:
    """A student whose channels are the low frequencies of the teacher's, along each axis that is shorter.

    Cosine transforms in place of weight selection, after FRONT (arXiv 2603.07523), without training. Weights that are
    independent of each other keep their standard deviation, and vectors of norms their mean; the classifier is new.
    """
    names = select_layers(teacher, student, "first").names
    source = teacher.state_dict()
    state = student.state_dict()
    for name, tensor in state.items():
        if name.startswith("classifier.") or not tensor.is_floating_point():
            continue
        value = source[names[name]].numpy()
        for axis, length in enumerate(tensor.shape):
            if value.shape[axis] != length:
                frequencies = dct(value, axis=axis, norm="ortho").take(range(length), axis=axis)
                shrink = (length / value.shape[axis]) ** 0.5 if value.ndim == 1 else 1.0
                value = shrink * idct(frequencies, axis=axis, norm="ortho")
        state[name] = torch.from_numpy(value).clamp_min(1e-3 if name.endswith("running_var") else -torch.inf)
    made = copy.deepcopy(student)
    made.load_state_dict(state)
    return made
