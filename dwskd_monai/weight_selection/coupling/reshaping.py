"""Labels of operations that only move elements: views, permutations, parts, joins, and what changes an axis' length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dwskd_monai.weight_selection.coupling.combining import combine
from dwskd_monai.weight_selection.coupling.labels import Edges, Label, Labels, labels_of


def view(edges: Edges, tensor: Tensor, shape: Sequence[int]) -> Labels:
    """The same elements in the same order, in another shape: axes that are merged or split take their labels along."""
    labels = labels_of(tensor)
    if tuple(tensor.shape) == tuple(shape):
        return labels
    blocks = _blocks(tuple(tensor.shape), tuple(shape), heads=not labels.weight)
    return Labels(
        tuple(_viewed(label, tuple(tensor.shape), tuple(shape), blocks) for label in labels.labels),
        frozenset(axis for before, after in blocks if before and set(before) <= labels.constant for axis in after),
        labels.weight,
    )


def _blocks(
    before: tuple[int, ...], after: tuple[int, ...], heads: bool
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Groups of neighbouring axes of two shapes that hold the same elements.

    A new axis of length 1 belongs to the axis behind it where that may be channels split into a single head.
    """
    blocks: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        start_i, start_j = i, j
        if not heads and j < len(after) and after[j] == 1 and (i == len(before) or before[i] != 1):
            blocks.append(((), (j,)))
            j += 1
            continue
        left = right = 1
        if i < len(before):
            left, i = before[i], i + 1
        if j < len(after):
            right, j = after[j], j + 1
        while left != right:
            if left < right:
                left, i = left * before[i], i + 1
            else:
                right, j = right * after[j], j + 1
        if left == 1:  # a run of ones on both sides
            while i < len(before) and before[i] == 1:
                i += 1
            while j < len(after) and after[j] == 1:
                j += 1
        blocks.append((tuple(range(start_i, i)), tuple(range(start_j, j))))
    return blocks


def _viewed(
    label: Label,
    before: tuple[int, ...],
    after: tuple[int, ...],
    blocks: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
) -> Label:
    old: list[int] = []
    new: list[int] = []
    for block_before, block_after in blocks:
        if set(block_before) & set(label.axes):
            old += block_before
            new += block_after
    full = label.numbers.reshape([before[axis] if axis in label.axes else 1 for axis in old])
    full = np.broadcast_to(full, [before[axis] for axis in old]).reshape([after[axis] for axis in new])
    for place in reversed(range(len(new))):
        length = full.shape[place]
        if length > 1 and np.array_equal(full, np.broadcast_to(np.take(full, [0], place), full.shape)):
            full = np.take(full, 0, place)
            del new[place]
    return Label(tuple(new), full)


def permute(labels: Labels, order: Sequence[int]) -> Labels:
    """Axis ``i`` of the result is axis ``order[i]`` of the operand."""
    return _renamed(labels, {old: new for new, old in enumerate(order)})


def _renamed(labels: Labels, places: Mapping[int, int]) -> Labels:
    """Labels whose axes have moved; ``places`` has all axes that are left."""
    moved = []
    for axes, numbers in labels.labels:
        targets = [places[axis] for axis in axes]
        order = sorted(range(len(targets)), key=targets.__getitem__)
        if order != list(range(len(targets))):
            numbers = np.transpose(numbers, order)
        moved.append(Label(tuple(targets[i] for i in order), numbers))
    constant = frozenset(places[axis] for axis in labels.constant if axis in places)
    return Labels(tuple(moved), constant, labels.weight)


def pick(tensor: Tensor, axis: int, index: slice | int) -> Labels:
    """A part along one axis, or one index, which takes the axis away."""
    labels = labels_of(tensor)
    axis %= tensor.ndim
    taken = []
    for axes, numbers in labels.labels:
        if axis not in axes:
            taken.append(Label(axes, numbers))
            continue
        place = axes.index(axis)
        part = numbers[(slice(None),) * place + (index,)]
        rest = axes if isinstance(index, slice) else axes[:place] + axes[place + 1 :]
        if rest:
            taken.append(Label(rest, part))
    picked = Labels(tuple(taken), labels.constant, labels.weight)
    if isinstance(index, slice):
        return picked
    return _renamed(picked, {old: old - (old > axis) for old in range(tensor.ndim) if old != axis})


def join(edges: Edges, tensors: Sequence[Tensor], axis: int) -> Labels:
    """Several tensors one after the other along an axis."""
    tensors = [tensor for tensor in tensors if tensor.ndim > 1 or tensor.shape[0]]
    axis %= tensors[0].ndim
    names = [None if place == axis else str(place) for place in range(tensors[0].ndim)]
    along = [[label for label in labels_of(tensor).labels if axis in label.axes] for tensor in tensors]
    others = [
        _with(
            tensor,
            Labels(tuple(x for x in labels_of(tensor).labels if axis not in x.axes), weight=labels_of(tensor).weight),
        )
        for tensor in tensors
    ]
    joined = combine(edges, others, [names] * len(others), names)
    found = list(joined.labels)
    if any(along) and not _are_positions(tensors, along):
        kinds = {label.axes for group in along for label in group}
        for axes in kinds:
            parts = []
            for tensor, group in zip(tensors, along):
                label = next((label for label in group if label.axes == axes), None)
                lengths = [tensor.shape[place] for place in axes]
                parts.append(edges.fresh(lengths) if label is None else label.numbers)
            found.append(Label(axes, np.concatenate(parts, axes.index(axis))))
    return Labels(tuple(found), weight=all(labels_of(tensor).weight for tensor in tensors))


def _are_positions(tensors: Sequence[Tensor], along: Sequence[Sequence[Label]]) -> bool:
    """Whether only parameters have a label along the axis where the image has none: tokens that are put before it."""
    labelled = [labels_of(tensor).weight for tensor, group in zip(tensors, along) if group]
    return all(labelled) and any(not labels_of(tensor).weight for tensor, group in zip(tensors, along) if not group)


class _Relabelled:
    """A tensor's shape with other labels."""

    def __init__(self, shape: torch.Size, labels: Labels) -> None:
        self.shape, self.ndim, self._labels = shape, len(shape), labels


def _with(tensor: Tensor, labels: Labels, shape: Sequence[int] | None = None) -> Any:
    return _Relabelled(tensor.shape if shape is None else torch.Size(shape), labels)


def stack(edges: Edges, tensors: Sequence[Tensor], axis: int) -> Labels:
    """Several tensors side by side along a new axis, which tells their channels apart."""
    standing = []
    for tensor in tensors:
        labels = labels_of(tensor)
        moved = _renamed(labels, {old: old + (old >= axis) for old in range(tensor.ndim)})
        grown = tuple(_with_axis(label, axis) for label in moved.labels)
        shape = [*tensor.shape[:axis], 1, *tensor.shape[axis:]]
        standing.append(_with(tensor, Labels(grown, weight=labels.weight), shape))
    return join(edges, standing, axis)


def _with_axis(label: Label, axis: int) -> Label:
    place = sum(own < axis for own in label.axes)
    return Label((*label.axes[:place], axis, *label.axes[place:]), np.expand_dims(label.numbers, place))


def resize(edges: Edges, tensor: Tensor, shape: Sequence[int]) -> Labels:
    """Pooling, interpolation, padding: axes that change their length lose their label and can only be taken whole."""
    labels = labels_of(tensor)
    kept = []
    for axes, numbers in labels.labels:
        changed = [place for place, axis in enumerate(axes) if tensor.shape[axis] != shape[axis]]
        if changed:
            edges.bundle(numbers, [place for place in range(len(axes)) if place not in changed])
        else:
            kept.append(Label(axes, numbers))
    return Labels(tuple(kept), labels.constant, labels.weight)


def expand(tensor: Tensor, shape: Sequence[int]) -> Labels:
    """Axes of length 1, and new ones in front, repeated."""
    labels, new = labels_of(tensor), len(shape) - tensor.ndim
    moved = _renamed(labels, {axis: axis + new for axis in range(tensor.ndim)})
    grown = {axis + new for axis in range(tensor.ndim) if tensor.shape[axis] != shape[axis + new]} | set(range(new))
    kept = []
    for axes, numbers in moved.labels:
        places = [place for place, axis in enumerate(axes) if axis not in grown]
        if places:
            drop = tuple(place for place in range(len(axes)) if place not in places)
            kept.append(Label(tuple(axes[place] for place in places), np.squeeze(numbers, drop)))
    return Labels(tuple(kept), moved.constant | grown, labels.weight)


def look_up(edges: Edges, tensor: Tensor, indices: Sequence[Tensor | None]) -> Labels:
    """``tensor[…, indices, …]`` with index tensors for neighbouring axes: those axes lose their label."""
    labels = labels_of(tensor)
    used = [axis for axis, index in enumerate(indices) if index is not None]
    result = torch.broadcast_shapes(*(index.shape for index in indices if index is not None))
    kept = []
    for axes, numbers in labels.labels:
        if set(axes) & set(used):
            edges.bundle(numbers, [place for place, axis in enumerate(axes) if axis not in used])
        else:
            kept.append(Label(axes, numbers))
    if used != list(range(used[0], used[-1] + 1)):
        raise NotImplementedError("index tensors for axes that are not neighbours")
    shift = len(result) - len(used)
    places = {axis: axis if axis < used[0] else axis + shift for axis in range(tensor.ndim) if axis not in used}
    return _renamed(Labels(tuple(kept), weight=labels.weight), places)


def roll(tensor: Tensor, shifts: Sequence[int], axes: Sequence[int]) -> Labels:
    """A cyclic shift along some axes."""
    labels = labels_of(tensor)
    rolled = []
    for own, numbers in labels.labels:
        for shift, axis in zip(shifts, axes):
            if axis % tensor.ndim in own:
                numbers = np.roll(numbers, shift, own.index(axis % tensor.ndim))
        rolled.append(Label(own, numbers))
    return Labels(tuple(rolled), labels.constant, labels.weight)
