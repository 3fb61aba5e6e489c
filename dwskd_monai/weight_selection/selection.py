"""Copy a subset of a teacher's weights into a student, or complementary subsets into two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from timm.layers import resample_abs_pos_embed
from timm.models import adapt_input_conv
from torch import Tensor, nn

from dwskd_monai.weight_selection.families import (
    INPUT_CHANNELS,
    POSITIONS,
    Axes,
    Axis,
    Family,
    family_of,
    in_classifier,
)
from dwskd_monai.weight_selection.report import PairReport, SelectionReport, TensorSelection
from dwskd_monai.weight_selection.rules import ELEMENT_RULES, LAYER_RULES, ElementRule, LayerRule, choose_elements

Rule = TypeVar("Rule")
Indices = Mapping[str, Sequence[int]]


def select_weights(
    teacher: nn.Module,
    student: nn.Module,
    *,
    layers: str = "first",
    elements: str = "uniform",
    offset: float = 0.0,
    avoid: Indices | None = None,
) -> SelectionReport:
    """Initialise ``student`` from a subset of ``teacher``'s weights (Xu et al., arXiv 2311.18823).

    One index set per coupled dimension is used wherever that dimension occurs; attention heads are taken whole;
    position embeddings are resampled to the student's grid and the input convolution is adapted to its channels with
    timm's own functions; the classifier keeps its new initialisation. The student is changed only after everything
    was found to fit.

    Args:
        teacher: the large network; it is not changed.
        student: a network of the same family, at most as wide and as deep; changed in place.
        layers: layer selection, ``first``.
        elements: element selection, ``uniform``.
        offset: shift of the uniform grid as a fraction of its spacing, in [0, 1).
        avoid: per coupled dimension, elements to take only where no others are left (the other student's).

    Returns:
        What was taken from where.

    Raises:
        ValueError: if a rule is unknown, the networks are of different families, the student is wider or deeper
            than the teacher, or a tensor does not fit; the message has its name and both shapes.
    """
    chooser = _ElementChooser(_look_up(ELEMENT_RULES, "elements", elements), offset, avoid or {})
    layer_rule = _look_up(LAYER_RULES, "layers", layers)
    family = family_of(teacher, student)
    blocks = _select_blocks(family, teacher, student, layer_rule)
    teacher_axes, student_axes = family.axes(teacher), family.axes(student)
    source_state, target_state = teacher.state_dict(), student.state_dict()

    selected: dict[str, Tensor] = {}
    tensors: list[TensorSelection] = []
    for name, target in target_state.items():
        if in_classifier(name, student):
            tensors.append(TensorSelection(name, None, tuple(target.shape), None, ("new",)))
            continue
        source_name = _teacher_name(name, blocks)
        source, axes, source_axes = source_state.get(source_name), student_axes.get(name), teacher_axes.get(source_name)
        if source is None or axes is None or source_axes is None:
            raise ValueError(
                f"{name}: the student's tensor of shape {tuple(target.shape)} has no counterpart {source_name!r} "
                f"in the teacher ({type(teacher).__name__})"
            )
        adapted, rules = _adapt(name, source, target, axes, teacher, student)
        selected[name], taken = chooser.subset(name, adapted, target, axes, source_axes)
        rules.append("selected" if any(part is not None for part in taken) else "copied")
        dimensions = [None if part is None or axis is None else axis.dimension for axis, part in zip(axes, taken)]
        axis_count = source.ndim
        tensors.append(
            TensorSelection(
                name,
                source_name,
                tuple(target.shape),
                tuple(source.shape),
                tuple(rules),
                tuple((dimensions + [None] * axis_count)[:axis_count]),
                tuple((taken + [None] * axis_count)[:axis_count]),
            )
        )

    with torch.no_grad():
        for name, value in selected.items():
            target_state[name].copy_(value)
    size = sum(tensor.numel() for name, tensor in source_state.items() if not in_classifier(name, teacher))
    return SelectionReport(family.name, layers, elements, tuple(tensors), chooser.indices, blocks, size)


def select_pair(
    teacher: nn.Module,
    main: nn.Module,
    auxiliary: nn.Module,
    *,
    layers: str = "first",
    elements: str = "uniform",
    offset: float = 0.0,
    complementary: bool = True,
) -> PairReport:
    """Initialise two students of one architecture from complementary subsets of the teacher.

    The auxiliary takes, in every coupled dimension, elements that main left; where the teacher is at least twice as
    wide as the student they share none (Tsutsumi et al., arXiv 2508.20461).

    Args:
        teacher: the large network; it is not changed.
        main: the student that is deployed; changed in place.
        auxiliary: the student that main learns with; changed in place.
        layers: layer selection, see :func:`select_weights`.
        elements: element selection, see :func:`select_weights`.
        offset: shift of main's uniform grid, see :func:`select_weights`.
        complementary: False gives both students the same subset (an ablation).

    Returns:
        Both reports, with coverage and overlap.

    Raises:
        ValueError: as :func:`select_weights`.
    """
    first = select_weights(teacher, main, layers=layers, elements=elements, offset=offset)
    avoid = first.indices if complementary else None
    second = select_weights(teacher, auxiliary, layers=layers, elements=elements, offset=offset, avoid=avoid)
    return PairReport(first, second)


class _ElementChooser:
    """Keeps one index set per coupled dimension, so that a dimension is subset alike wherever it occurs."""

    def __init__(self, rule: ElementRule, offset: float, avoid: Indices) -> None:
        self.rule, self.offset, self.avoid = rule, offset, avoid
        self.indices: dict[str, tuple[int, ...]] = {}
        self._sizes: dict[str, tuple[int, int]] = {}

    def subset(
        self, name: str, source: Tensor, target: Tensor, axes: Axes, source_axes: Axes
    ) -> tuple[Tensor, list[tuple[int, ...] | None]]:
        """The part of ``source`` that fits ``target``, and what was taken along each axis (None: all)."""
        taken: list[tuple[int, ...] | None] = []
        shape = tuple(source.shape)
        for position, axis in enumerate(axes):
            lengths = shape[position], target.shape[position]
            if axis is None or axis.dimension in (INPUT_CHANNELS, POSITIONS):
                if lengths[0] != lengths[1]:
                    raise ValueError(_misfit(name, shape, target))
                taken.append(None)
                continue
            source_axis = source_axes[position]
            if source_axis is None or (source_axis.parts, source_axis.unit) != (axis.parts, axis.unit):
                raise ValueError(
                    f"{_misfit(name, shape, target)}: {axis.dimension} are taken whole, but one has "
                    f"{source_axis.unit if source_axis else 0} elements in the teacher and {axis.unit} in the student"
                )
            chosen = self._choose(name, axis, axis.size(lengths[0]), axis.size(lengths[1]), shape, target)
            if lengths[0] == lengths[1]:
                taken.append(None)
                continue
            along = axis.expand(chosen, lengths[0])
            source = source.index_select(position, torch.tensor(along, device=source.device))
            taken.append(tuple(along))
        return source, taken

    def _choose(
        self, name: str, axis: Axis, teacher_size: int, student_size: int, shape: tuple[int, ...], target: Tensor
    ) -> list[int]:
        sizes = teacher_size, student_size
        if student_size > teacher_size:
            raise ValueError(
                f"{_misfit(name, shape, target)}: the student is wider than the teacher "
                f"({axis.dimension}: {student_size} > {teacher_size}); choose a narrower student or a larger teacher"
            )
        if self._sizes.setdefault(axis.dimension, sizes) != sizes:
            raise ValueError(
                f"{_misfit(name, shape, target)}: {axis.dimension} has sizes {sizes} here and "
                f"{self._sizes[axis.dimension]} elsewhere"
            )
        if axis.dimension not in self.indices:
            avoid = self.avoid.get(axis.dimension, ())
            self.indices[axis.dimension] = tuple(choose_elements(self.rule, *sizes, self.offset, avoid))
        return list(self.indices[axis.dimension])


def _adapt(
    name: str, source: Tensor, target: Tensor, axes: Axes, teacher: nn.Module, student: nn.Module
) -> tuple[Tensor, list[str]]:
    """Bring a teacher's tensor to the student's kernel form, input channels and grid of positions."""
    rules = []
    dimensions = [None if axis is None else axis.dimension for axis in axes]
    if source.ndim != target.ndim:
        # A linear layer and a 1x1 convolution compute the same: ConvNeXt uses one or the other by size.
        core = min(source.ndim, target.ndim)
        if any(length != 1 for length in (*source.shape[core:], *target.shape[core:])):
            raise ValueError(_misfit(name, tuple(source.shape), target))
        source = source.reshape(*source.shape[:core], *(1 for _ in range(target.ndim - core)))
        rules.append("reshaped")
    if INPUT_CHANNELS in dimensions:
        channels = target.shape[dimensions.index(INPUT_CHANNELS)]
        if source.shape[1] != channels:
            if source.shape[1] != 3:
                raise ValueError(
                    f"{_misfit(name, tuple(source.shape), target)}: timm adapts only an input convolution of 3 channels"
                )
            source = adapt_input_conv(channels, source)
            rules.append("adapted")
    if POSITIONS in dimensions and source.shape[1] != target.shape[1]:
        source = _resample_positions(name, source, target, teacher, student)
        rules.append("resampled")
    return source, rules


def _resample_positions(name: str, source: Tensor, target: Tensor, teacher: nn.Module, student: nn.Module) -> Tensor:
    """Position embeddings ``(1, prefix + positions, width)`` interpolated from the teacher's grid to the student's."""
    grids = [tuple(model.patch_embed.grid_size) for model in (teacher, student)]  # type: ignore[union-attr, arg-type]
    prefixes = [tensor.shape[1] - grid[0] * grid[1] for tensor, grid in zip((source, target), grids, strict=True)]
    if prefixes[0] != prefixes[1]:
        raise ValueError(
            f"{_misfit(name, tuple(source.shape), target)}: {prefixes[0]} prefix tokens in the teacher, "
            f"{prefixes[1]} in the student"
        )
    return resample_abs_pos_embed(source, list(grids[1]), old_size=list(grids[0]), num_prefix_tokens=prefixes[0])


def _select_blocks(
    family: Family, teacher: nn.Module, student: nn.Module, rule: LayerRule
) -> dict[str, tuple[int, ...]]:
    """Per stage, the teacher's blocks in the order of the student's."""
    blocks = {}
    for stage in family.stages(student):
        theirs = len(list(teacher.get_submodule(stage).children())) if stage in family.stages(teacher) else 0
        ours = len(list(student.get_submodule(stage).children()))
        if ours > theirs:
            raise ValueError(
                f"{stage}: the student is deeper than the teacher, {ours} blocks against {theirs}; "
                "choose a shallower student or a larger teacher"
            )
        blocks[stage] = tuple(rule(theirs, ours))
    return blocks


def _teacher_name(name: str, blocks: Mapping[str, Sequence[int]]) -> str:
    """Name of the teacher's tensor from which the student's tensor ``name`` is taken."""
    for stage, chosen in blocks.items():
        if name.startswith(f"{stage}."):
            block, rest = name[len(stage) + 1 :].split(".", 1)
            return f"{stage}.{chosen[int(block)]}.{rest}"
    return name


def _look_up(rules: Mapping[str, Rule], argument: str, name: str) -> Rule:
    if name not in rules:
        raise ValueError(f"{argument} must be one of {', '.join(rules)}, got {name!r}")
    return rules[name]


def _misfit(name: str, source_shape: tuple[int, ...], target: Tensor) -> str:
    return f"{name}: teacher {tuple(source_shape)} does not fit student {tuple(target.shape)}"
