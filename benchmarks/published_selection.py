"""Weight selection as it was published, tensor by tensor: what ours is compared with.

Written from the description in Xu et al., *Initializing Models with Larger Ones* (arXiv 2311.18823, section 3): each
tensor of the student is the teacher's of the same name, from which evenly spaced elements are taken along one dimension
after another. It knows nothing of what a dimension means. In a fused projection of ViT the stride runs through q, k and
v as one dimension, so each head of the student is interleaved from two of the teacher's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dwskd_monai.weight_selection import Teacher, in_classifier


def uniform_elements(tensor: Tensor, shape: torch.Size) -> Tensor:
    """Evenly spaced elements of a tensor along each dimension."""
    selected = tensor.clone()
    if selected.ndim != len(shape):  # a linear layer as a 1x1 convolution
        selected = selected.reshape(*selected.shape[: len(shape)], *(1 for _ in range(len(shape) - selected.ndim)))
    for axis, length in enumerate(shape):
        size = selected.shape[axis]
        if size % length == 0:
            indices = torch.arange(length) * (size // length)
        else:
            indices = torch.linspace(0, size - 1, length).round().long()
        selected = torch.index_select(selected, axis, indices)
    return selected


def select(teacher: dict[str, Tensor], student: nn.Module) -> None:
    """Initialize ``student`` from a teacher's state dict, all but its classifier."""
    state = student.state_dict()
    chosen = {
        name: uniform_elements(teacher[name], tensor.shape)
        for name, tensor in state.items()
        if not in_classifier(name, student)
    }
    student.load_state_dict(state | chosen)


def initialize_students(main: nn.Module, teacher: Teacher) -> None:
    """The same, in place of a bundle's ``first_weights``."""
    weights = teacher.open()
    select({name: weights[name] for name in weights.names()}, main)
