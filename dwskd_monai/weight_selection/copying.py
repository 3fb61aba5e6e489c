"""Copies the planned parts of the teacher's tensors into the student's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from dwskd_monai.weight_selection.adaptation import fitted
from dwskd_monai.weight_selection.coupling import Numbers
from dwskd_monai.weight_selection.tensors import TensorSelection
from dwskd_monai.weight_selection.weights import Weights


def copy_weights(
    tensors: Sequence[TensorSelection],
    weights: Weights,
    teacher: nn.Module,
    student: nn.Module,
    progress: bool = False,
) -> None:
    """Copy the planned parts into the student; a tensor without a source keeps its values.

    Args:
        tensors: the plan, one entry for each tensor of the student.
        weights: the teacher's tensors; one is read at a time.
        teacher: the large network, for the grid of its position embedding.
        student: changed in place, on its device and in its dtype.
        progress: show a progress bar.
    """
    state = student.state_dict()
    with torch.no_grad():
        for tensor in tqdm(
            tensors, "selecting weights", unit="tensor", disable=None if progress else True, leave=False
        ):
            if tensor.source is not None:
                part = taken_part(weights[tensor.source], tensor.positions)
                state[tensor.name].copy_(fitted(part, tensor, teacher, student))


def taken_part(source: Tensor, positions: Sequence[Numbers | None]) -> Tensor:
    """What is at the selected positions along each axis.

    Evenly spaced ones are a view, which the caller copies once; index_select copies for each axis.

    Args:
        source: the teacher's tensor.
        positions: see :class:`~dwskd_monai.weight_selection.TensorSelection`.
    """
    value = source
    uneven = []
    for axis, along in enumerate(positions):
        if along is None:
            continue
        even = _as_slice(along)
        if even is None:
            uneven.append((axis, along))
        else:
            value = value[(slice(None),) * axis + (even,)]
    for axis, along in uneven:
        index = torch.from_numpy(along).to(value.device)
        if along.ndim == 1:
            value = value.index_select(axis, index)
        else:  # other inputs for each output
            rest = value.shape[2:]
            index = index.reshape(*along.shape, *(1 for _ in rest)).expand(-1, -1, *rest)
            value = value.gather(1, index)
    return value


def _as_slice(positions: Numbers) -> slice | None:
    """The slice that has these positions, if there is one."""
    if positions.ndim > 1:
        return None
    first = int(positions[0])
    if len(positions) == 1:
        return slice(first, first + 1)
    step = int(positions[1]) - first
    if step <= 0 or (np.diff(positions) != step).any():
        return None
    return slice(first, int(positions[-1]) + 1, step)
