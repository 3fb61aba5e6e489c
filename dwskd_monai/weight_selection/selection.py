"""Copy a subset of a teacher's weights into a student, or complementary subsets into two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from dwskd_monai.weight_selection import adaptation
from dwskd_monai.weight_selection.coupling import Numbers
from dwskd_monai.weight_selection.matching import Taken
from dwskd_monai.weight_selection.plan import plan_selection
from dwskd_monai.weight_selection.report import PairReport, SelectionReport, TensorSelection
from dwskd_monai.weight_selection.rules import Rules
from dwskd_monai.weight_selection.weights import Teacher

AS_PUBLISHED = Rules()  # first layers, uniform elements (Xu et al.), with whole heads


def select_weights(
    teacher: nn.Module | Teacher,
    student: nn.Module,
    rules: Rules = AS_PUBLISHED,
    *,
    avoid: Taken | None = None,
    input_shape: Sequence[int] | None = None,
    progress: bool = False,
) -> SelectionReport:
    """Initialise ``student`` from a subset of a teacher's weights (Xu et al., arXiv 2311.18823).

    One index set per coupled dimension is used wherever that dimension occurs; what is coupled is found by following
    both networks (:mod:`~dwskd_monai.weight_selection.coupling`). Attention heads are taken whole, with the same heads
    of q, k, v and the output projection; so are the groups of grouped convolutions where the student has fewer of them.
    Tables of positions are resampled to the student's grid and the input convolution is adapted to its channels with
    timm's own functions; the classifier keeps its new initialisation. The student is changed only after everything was
    found to fit.

    Args:
        teacher: the large network; it is not changed.
        student: a network of the same class, at most as wide and as deep; changed in place, on its device and in its
            dtype.
        rules: which blocks and elements are taken.
        avoid: elements to take only where no others are left (the other student's).
        input_shape: ``(channels, height, width)`` or ``(channels, *space)`` of an image that both networks take; found
            for those of timm and MONAI.
        progress: show a progress bar.

    Returns:
        What was taken from where.

    Raises:
        FileNotFoundError: if the teacher's file does not exist.
        ValueError: if the networks are of different families, the student is wider or deeper than the teacher, or a
            tensor does not fit; the message has its name and both shapes.
    """
    teacher = Teacher.of(teacher)
    plan = plan_selection(teacher, student, rules, avoid, input_shape)
    weights, state = teacher.open(), student.state_dict()
    with torch.no_grad():
        for tensor in tqdm(plan.tensors, "selecting weights", unit="tensor", disable=not progress, leave=False):
            if tensor.source is not None:
                value = _part(weights[tensor.source], tensor, teacher.network, student)
                state[tensor.name].copy_(value)
    return plan


def select_pair(
    teacher: nn.Module | Teacher,
    main: nn.Module,
    auxiliary: nn.Module,
    rules: Rules = AS_PUBLISHED,
    *,
    complementary: bool = True,
    input_shape: Sequence[int] | None = None,
    progress: bool = False,
) -> PairReport:
    """Initialise two students of one architecture from complementary subsets of the teacher.

    The auxiliary takes, in every coupled dimension, elements that main left; where the teacher is at least twice as
    wide as the student they share none (Tsutsumi et al., arXiv 2508.20461).

    Args:
        teacher: the large network; it is not changed.
        main: the student that is deployed; changed in place.
        auxiliary: the student that main learns with; changed in place.
        rules: which blocks and elements are taken.
        complementary: False gives both students the same subset (an ablation).
        input_shape: see :func:`select_weights`.
        progress: show progress bars.

    Returns:
        Both reports, with coverage and overlap.

    Raises:
        FileNotFoundError, ValueError: as :func:`select_weights`.
    """
    first = select_weights(teacher, main, rules, input_shape=input_shape, progress=progress)
    avoid = first.taken if complementary else None
    second = select_weights(teacher, auxiliary, rules, avoid=avoid, input_shape=input_shape, progress=progress)
    return PairReport(first, second)


def _part(source: Tensor, tensor: TensorSelection, teacher: nn.Module, student: nn.Module) -> Tensor:
    """The part of the teacher's tensor that the student takes, in the student's shape."""
    value = adaptation.reshaped(tensor.name, _take(source, tensor.taken), tensor.shape)
    if "adapted" in tensor.rules:
        value = adaptation.adapted_input(tensor.name, value, tensor.shape[1])
    if "resampled" in tensor.rules:
        found = adaptation.resampled_positions(tensor.name, value, tensor.shape, teacher, student)
        assert found is not None
        value = found
    if "rescaled" in tensor.rules:
        value = value * (source.shape[1] / tensor.shape[1]) ** 0.5
    return value


def _take(source: Tensor, taken: Sequence[Numbers | None]) -> Tensor:
    """The selected positions along each axis; evenly spaced ones are a view and copied only once, by the caller."""
    value, uneven = source, []
    for axis, part in enumerate(taken):
        if part is None:
            continue
        even = _as_slice(part)
        if even is None:
            uneven.append((axis, part))
        else:
            value = value[(slice(None),) * axis + (even,)]
    for axis, part in uneven:
        index = torch.from_numpy(part).to(value.device)
        if part.ndim == 1:
            value = value.index_select(axis, index)
        else:  # other inputs for each output
            index = index.reshape(*part.shape, *(1 for _ in value.shape[2:])).expand(-1, -1, *value.shape[2:])
            value = value.gather(1, index)
    return value


def _as_slice(part: Numbers) -> slice | None:
    if part.ndim > 1:
        return None
    if len(part) == 1:
        return slice(int(part[0]), int(part[0]) + 1)
    step = int(part[1] - part[0])
    if step <= 0 or (np.diff(part) != step).any():
        return None
    return slice(int(part[0]), int(part[-1]) + 1, step)
