"""Labels of operations that only move elements (views, permutations, parts, joins) or change the length of an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dwskd_monai.weight_selection.coupling.combining import Operand, combine_operands
from dwskd_monai.weight_selection.coupling.graph import CouplingGraph
from dwskd_monai.weight_selection.coupling.labels import Label, Labels, labels_of

Shape = tuple[int, ...]
Block = tuple[Shape, Shape]


def view(tensor: Tensor, shape: Sequence[int]) -> Labels:
    """The same elements in the same order, in another shape: axes that are merged or split take their labels along."""
    labels = labels_of(tensor)
    before = tuple(tensor.shape)
    after = tuple(shape)
    if before == after:
        return labels
    blocks = _blocks(before, after, heads=not labels.weight)
    constant: set[int] = set()
    for old_axes, new_axes in blocks:
        if old_axes and labels.constant.issuperset(old_axes):
            constant.update(new_axes)
    viewed = tuple(_viewed(label, before, after, blocks) for label in labels.labels)
    return Labels(viewed, frozenset(constant), labels.weight)


def _blocks(before: Shape, after: Shape, heads: bool) -> list[Block]:
    """Runs of neighboring axes of two shapes that hold the same elements.

    ::

        (5, 2, 3, 8) -> (5, 6, 4, 2)     axis 0 is axis 0, axes 1 and 2 become axis 1, axis 3 becomes axes 2 and 3:
                                         [((0,), (0,)), ((1, 2), (1,)), ((3,), (2, 3))]

    Args:
        before: shape of the tensor.
        after: shape of its view.
        heads: a new axis of length 1 belongs to the axis behind it, since it may be channels split into a single head.
            Otherwise it is a block of its own.
    """
    blocks: list[Block] = []
    old = new = 0
    while old < len(before) or new < len(after):
        first_old = old
        first_new = new
        # (2, 3) -> (2, 1, 3): the 1 does not belong to 2 or 3.
        is_new_unit_axis = new < len(after) and after[new] == 1 and (old == len(before) or before[old] != 1)
        if is_new_unit_axis and not heads:
            blocks.append(((), (new,)))
            new += 1
            continue
        old_size = new_size = 1
        if old < len(before):
            old_size = before[old]
            old += 1
        if new < len(after):
            new_size = after[new]
            new += 1
        while old_size != new_size:
            if old_size < new_size:
                old_size *= before[old]
                old += 1
            else:
                new_size *= after[new]
                new += 1
        if old_size == 1:  # a run of ones on both sides
            while old < len(before) and before[old] == 1:
                old += 1
            while new < len(after) and after[new] == 1:
                new += 1
        blocks.append((tuple(range(first_old, old)), tuple(range(first_new, new))))
    return blocks


def _viewed(label: Label, before: Shape, after: Shape, blocks: Sequence[Block]) -> Label:
    """A label in another shape: along all axes of its blocks, then without those along which numbers do not differ.

    ::

        (batch, 4) -> (batch, 2, 2)        axes (1,): 0 1 2 3      becomes axes (1, 2): [[0 1], [2 3]]
        (batch, 2, 3) -> (batch, 6)        axes (1,): 0 1          becomes axes (1,): 0 0 0 1 1 1
    """
    old: list[int] = []
    new: list[int] = []
    for old_axes, new_axes in blocks:
        if not set(label.axes).isdisjoint(old_axes):
            old += old_axes
            new += new_axes
    numbers = label.numbers.reshape([before[axis] if axis in label.axes else 1 for axis in old])
    numbers = np.broadcast_to(numbers, [before[axis] for axis in old])
    numbers = numbers.reshape([after[axis] for axis in new])
    for place in reversed(range(len(new))):
        one = np.take(numbers, [0], place)
        if numbers.shape[place] > 1 and (numbers == one).all():
            numbers = np.squeeze(one, place)
            del new[place]
    return Label(tuple(new), numbers)


def permute(labels: Labels, order: Sequence[int]) -> Labels:
    """Axis ``i`` of the result is axis ``order[i]`` of the operand."""
    return _moved(labels, {old: new for new, old in enumerate(order)})


def _moved(labels: Labels, places: Mapping[int, int]) -> Labels:
    """Labels whose axes have moved; ``places`` has the new place of all axes that are left."""
    moved = []
    for axes, numbers in labels.labels:
        targets = [places[axis] for axis in axes]
        order = sorted(range(len(targets)), key=targets.__getitem__)
        moved.append(Label(tuple(sorted(targets)), np.transpose(numbers, order)))
    constant = frozenset(places[axis] for axis in labels.constant if axis in places)
    return Labels(tuple(moved), constant, labels.weight)


def pick(tensor: Tensor, axis: int, index: slice | int) -> Labels:
    """A part along one axis, or one index, which takes the axis away."""
    labels = labels_of(tensor)
    axis %= tensor.ndim
    picked = []
    for axes, numbers in labels.labels:
        if axis not in axes:
            picked.append(Label(axes, numbers))
            continue
        place = axes.index(axis)
        part = numbers[(slice(None),) * place + (index,)]
        left = axes if isinstance(index, slice) else axes[:place] + axes[place + 1 :]
        if left:
            picked.append(Label(left, part))
    result = Labels(tuple(picked), labels.constant, labels.weight)
    if isinstance(index, slice):
        return result
    return _moved(result, {old: old - (old > axis) for old in range(tensor.ndim) if old != axis})


class Part(NamedTuple):
    """What joining has to know about a tensor."""

    shape: Shape
    labels: Labels

    @classmethod
    def of(cls, tensor: Tensor) -> Part:
        """A tensor's shape and labels."""
        return cls(tuple(tensor.shape), labels_of(tensor))

    def across(self, axis: int) -> tuple[Label, ...]:
        """The labels that include the axis."""
        return tuple(label for label in self.labels.labels if axis in label.axes)

    def beside(self, axis: int) -> tuple[Label, ...]:
        """The labels that do not include the axis."""
        return tuple(label for label in self.labels.labels if axis not in label.axes)


def join(graph: CouplingGraph, parts: Sequence[Part], axis: int) -> Labels:
    """Several tensors one after the other along an axis.

    Along this axis, their numbers follow each other; along the other axes, they are the same elements, as in a sum::

        (batch, 2) with 0 1, (batch, 3) with 2 3 4    ->    (batch, 5) with 0 1 2 3 4
    """
    parts = [part for part in parts if part.shape != (0,)]  # torch joins an empty vector with anything
    axis %= len(parts[0].shape)
    letters = tuple(None if place == axis else str(place) for place in range(len(parts[0].shape)))
    operands = [Operand(part.shape, letters, Labels(part.beside(axis), weight=part.labels.weight)) for part in parts]
    labels = list(combine_operands(graph, operands, letters).labels)
    if not _are_prefix_tokens(parts, axis):
        axes_of_labels = dict.fromkeys(label.axes for part in parts for label in part.across(axis))
        labels += [_joined(graph, parts, axes, axis) for axes in axes_of_labels]
    return Labels(tuple(labels), weight=all(part.labels.weight for part in parts))


def _joined(graph: CouplingGraph, parts: Sequence[Part], axes: Shape, axis: int) -> Label:
    """The labels along ``axes`` one after the other; a part without one gets fresh numbers."""
    numbers = []
    for part in parts:
        label = next((label for label in part.across(axis) if label.axes == axes), None)
        numbers.append(graph.fresh([part.shape[place] for place in axes]) if label is None else label.numbers)
    return Label(axes, np.concatenate(numbers, axes.index(axis)))


def _are_prefix_tokens(parts: Sequence[Part], axis: int) -> bool:
    """Whether only parameters have a label along the axis and the image has none: tokens that are put before it."""
    labeled = [part for part in parts if part.across(axis)]
    unlabeled = [part for part in parts if not part.across(axis)]
    return all(part.labels.weight for part in labeled) and any(not part.labels.weight for part in unlabeled)


def stack(graph: CouplingGraph, tensors: Sequence[Tensor], axis: int) -> Labels:
    """Several tensors side by side along a new axis, which tells their channels apart."""
    parts = []
    for tensor in tensors:
        labels = labels_of(tensor)
        moved = _moved(labels, {old: old + (old >= axis) for old in range(tensor.ndim)})
        grown = tuple(_with_axis(label, axis) for label in moved.labels)
        parts.append(Part((*tensor.shape[:axis], 1, *tensor.shape[axis:]), Labels(grown, weight=labels.weight)))
    return join(graph, parts, axis)


def _with_axis(label: Label, axis: int) -> Label:
    """A label that also runs along a new axis of length 1."""
    place = sum(other < axis for other in label.axes)
    return Label((*label.axes[:place], axis, *label.axes[place:]), np.expand_dims(label.numbers, place))


def resize(graph: CouplingGraph, tensor: Tensor, shape: Sequence[int]) -> Labels:
    """Pooling, interpolation, padding: axes that change their length lose their label and can only be taken whole."""
    labels = labels_of(tensor)
    kept = []
    for axes, numbers in labels.labels:
        same = [place for place, axis in enumerate(axes) if tensor.shape[axis] == shape[axis]]
        if len(same) == len(axes):
            kept.append(Label(axes, numbers))
        else:
            graph.group(numbers, same)
    return Labels(tuple(kept), labels.constant, labels.weight)


def expand(tensor: Tensor, shape: Sequence[int]) -> Labels:
    """Axes of length 1, and new ones in front, repeated."""
    labels = labels_of(tensor)
    new = len(shape) - tensor.ndim
    moved = _moved(labels, {axis: axis + new for axis in range(tensor.ndim)})
    repeated = set(range(new))
    repeated |= {axis + new for axis in range(tensor.ndim) if tensor.shape[axis] != shape[axis + new]}
    kept = []
    for axes, numbers in moved.labels:
        dropped = tuple(place for place, axis in enumerate(axes) if axis in repeated)
        left = tuple(axis for axis in axes if axis not in repeated)
        if left:
            kept.append(Label(left, np.squeeze(numbers, dropped)))
    return Labels(tuple(kept), moved.constant | repeated, labels.weight)


def look_up(graph: CouplingGraph, tensor: Tensor, indices: Sequence[Tensor | None]) -> Labels:
    """``tensor[…, indices, …]`` with index tensors for neighboring axes: those axes lose their label."""
    labels = labels_of(tensor)
    indexed = [axis for axis, index in enumerate(indices) if index is not None]
    first = indexed[0]
    if indexed != list(range(first, indexed[-1] + 1)):
        raise NotImplementedError("index tensors for axes that are not neighbors")
    kept = []
    for axes, numbers in labels.labels:
        if set(axes).isdisjoint(indexed):
            kept.append(Label(axes, numbers))
        else:
            graph.group(numbers, [place for place, axis in enumerate(axes) if axis not in indexed])
    index_axes = len(torch.broadcast_shapes(*(index.shape for index in indices if index is not None)))
    shift = index_axes - len(indexed)
    places = {axis: axis if axis < first else axis + shift for axis in range(tensor.ndim) if axis not in indexed}
    return _moved(Labels(tuple(kept), weight=labels.weight), places)


def roll(tensor: Tensor, shifts: Sequence[int], axes: Sequence[int]) -> Labels:
    """A cyclic shift along some axes."""
    labels = labels_of(tensor)
    rolled = []
    for label_axes, numbers in labels.labels:
        for shift, axis in zip(shifts, axes):
            if axis % tensor.ndim in label_axes:
                numbers = np.roll(numbers, shift, label_axes.index(axis % tensor.ndim))
        rolled.append(Label(label_axes, numbers))
    return Labels(tuple(rolled), labels.constant, labels.weight)
