"""What each torch operation says of the labels of its operands.

Most operations are one of a few kinds: they *combine* operands that share axes (sums, products, contractions), *view*
a tensor in another shape, *pick* a part along an axis, or *join* several along one. The rules of the kinds are here;
``tracing`` says of which kind each ATen operation is. Pointwise operations need no entry there: torch marks them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dwskd_monai.weight_selection.labels import Edges, Label, Labels, Numbers, labels_of

Letters = Sequence[str | None]
Rule = Callable[..., Labels]


def combine(
    edges: Edges, operands: Sequence[Tensor], letters: Sequence[Letters], result: Letters, shape: Sequence[int]
) -> Labels:
    """Labels of an operation that is an Einstein sum as far as axes are concerned.

    Axes with the same letter are the same index. A letter that is missing in ``result`` is contracted.

    Args:
        operands: the tensors.
        letters: for each operand one letter for each axis; None for an axis that is nobody else's.
        result: the letters of the result's axes.
        shape: of the result.
    """
    lengths: dict[str, int] = {}
    for operand, names in zip(operands, letters):
        for name, length in zip(names, operand.shape):
            if name is not None:
                lengths[name] = max(length, lengths.get(name, 1))
    contracted = set(lengths) - set(result)
    all_labels = [labels_of(operand) for operand in operands]
    named: list[list[tuple[tuple[str, ...], Numbers]]] = []
    for operand, names, labels in zip(operands, letters, all_labels):
        named.append([])
        for label in labels.labels:
            if any(names[axis] is None for axis in label.axes):  # a kernel's side, or channels used as one
                edges.bundle(label.numbers)
                continue
            axis_names, numbers = _name(label, names, operand.shape, lengths)
            positions = _stiffen(edges, axis_names, numbers, operand, operands, letters, all_labels)
            if not (labels.weight and positions):
                named[-1].append((axis_names, numbers))
    whole = sum(not labels.weight for labels in all_labels) > 1
    flat = [(index, names, numbers) for index, group in enumerate(named) for names, numbers in group]
    for position, (index, names, numbers) in enumerate(flat):
        for other, other_names, other_numbers in flat[position + 1 :]:
            if other != index:
                _relate(edges, names, numbers, other_names, other_numbers, lengths)
        if whole and contracted & set(names):
            keep = [axis for axis, name in enumerate(names) if name not in contracted]
            edges.bundle(numbers, keep)
    found: dict[tuple[int, ...], Numbers] = {}
    places = {name: axis for axis, name in enumerate(result) if name is not None}
    for _, names, numbers in flat:
        remaining = _remaining(edges, names, numbers, places, whole)
        if remaining is not None:
            found.setdefault(remaining.axes, remaining.numbers)
    constant = frozenset(
        places[name]
        for name in places
        if all(
            name not in names or names.index(name) in labels.constant or operand.shape[names.index(name)] == 1
            for operand, names, labels in zip(operands, letters, all_labels)
        )
    )
    # A label of some axes says nothing beyond one of these and more axes: their bundles have been joined.
    widest = [axes for axes in found if not any(set(axes) < set(other) for other in found)]
    return Labels(
        tuple(Label(axes, found[axes]) for axes in widest), constant, all(labels.weight for labels in all_labels)
    )


def _name(
    label: Label, names: Letters, shape: Sequence[int], lengths: Mapping[str, int]
) -> tuple[tuple[str, ...], Numbers]:
    """A label's axes as letters, without those that are broadcast."""
    keep = [
        place
        for place, axis in enumerate(label.axes)
        if names[axis] is None or shape[axis] == lengths[str(names[axis])]
    ]
    drop = tuple(place for place in range(len(label.axes)) if place not in keep)
    return tuple(str(names[label.axes[place]]) for place in keep), np.squeeze(label.numbers, drop)


def _stiffen(
    edges: Edges,
    names: tuple[str, ...],
    numbers: Numbers,
    owner: Tensor,
    operands: Sequence[Tensor],
    letters: Sequence[Letters],
    all_labels: Sequence[Labels],
) -> bool:
    """An axis that meets one whose elements all differ and have no label can only be taken whole.

    Returns:
        Whether it met one of the image's: then it is a parameter's axis of positions.
    """
    positions = False
    for operand, operand_names, labels in zip(operands, letters, all_labels):
        if operand is owner:
            continue
        labelled = {operand_names[axis] for label in labels.labels for axis in label.axes}
        for place, name in enumerate(names):
            if name not in operand_names or name in labelled:
                continue
            axis = operand_names.index(name)
            if operand.shape[axis] == numbers.shape[place] == 1:
                positions |= not labels.weight
            elif operand.shape[axis] > 1 and axis not in labels.constant:
                edges.bundle(numbers, [other for other in range(len(names)) if other != place])
                positions |= not labels.weight
    return positions


def _relate(
    edges: Edges,
    names: tuple[str, ...],
    numbers: Numbers,
    other_names: tuple[str, ...],
    other_numbers: Numbers,
    lengths: Mapping[str, int],
) -> None:
    """Two labels of one index space: the same elements, or bundles that belong together."""
    common = [name for name in names if name in other_names]
    if not common:
        return
    longer, other_longer = ([n for n in group if lengths[n] > 1] for group in (names, other_names))
    if set(longer) == set(other_longer):
        order = [name for name in names if name in other_names]
        first = _arrange(names, numbers, order)
        second = _arrange(other_names, other_numbers, order)
        edges.link(first, second)
        return
    wider = names if len(names) > len(other_names) else other_names
    if wider[0] not in common:  # one weight for all heads: heads are free, the elements of a head are not
        edges.bundle(numbers, [place for place, name in enumerate(names) if name not in common])
        edges.bundle(other_numbers, [place for place, name in enumerate(other_names) if name not in common])
        return
    sides = []
    for group, group_numbers in ((names, numbers), (other_names, other_numbers)):
        ordered = _arrange(group, group_numbers, common + [name for name in group if name not in common])
        rows = ordered.reshape(int(np.prod([lengths[name] for name in common])), -1)
        edges.bundle(rows, [0])
        sides.append(rows[:, 0])
    edges.join(*sides)


def _arrange(names: tuple[str, ...], numbers: Numbers, order: Sequence[str]) -> Numbers:
    """Axes in this order; those that are left out have length 1."""
    if tuple(order) == names:
        return numbers
    rest = [place for place, name in enumerate(names) if name not in order]
    return np.squeeze(
        np.transpose(numbers, [names.index(name) for name in order] + rest), tuple(range(len(order), len(names)))
    )


def _remaining(
    edges: Edges, names: tuple[str, ...], numbers: Numbers, places: Mapping[str, int], attention: bool
) -> Label | None:
    """A label after a contraction: as it was, gone, or, where only a part of its axes is left, one of its bundles."""
    left = [name for name in names if name in places]
    single = all(numbers.shape[names.index(name)] == 1 for name in left)
    if not left or (len(left) < len(names) and single and not attention):
        return None
    if len(left) < len(names):
        keep = [names.index(name) for name in left]
        edges.bundle(numbers, keep)
        ordered = np.moveaxis(numbers, keep, range(len(keep)))
        fresh = edges.fresh(ordered.shape[: len(keep)])
        edges.join(fresh, ordered.reshape(*fresh.shape, -1)[..., 0])
        numbers = fresh
    order = sorted(left, key=lambda name: places[name])
    return Label(tuple(places[name] for name in order), np.transpose(numbers, [left.index(name) for name in order]))


def pointwise(edges: Edges, operands: Sequence[Tensor], shape: Sequence[int]) -> Labels:
    """Operands broadcast against each other, element by element."""
    tensors = [operand for operand in operands if operand.ndim]
    if len(tensors) == 1 and tuple(tensors[0].shape) == tuple(shape):
        return labels_of(tensors[0])
    names = [str(axis) for axis in range(len(shape))]
    return combine(edges, tensors, [names[len(names) - tensor.ndim :] for tensor in tensors], names, shape)


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
        order = np.argsort(targets)
        moved.append(Label(tuple(targets[i] for i in order), np.transpose(numbers, order)))
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
    shape = list(tensors[0].shape)
    joined = combine(edges, others, [names] * len(others), names, shape)
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


def reduce(edges: Edges, tensor: Tensor, axes: Sequence[int] | None, keep: bool, shape: Sequence[int]) -> Labels:
    """Sum, mean, norm, … over some axes (all if None)."""
    gone = set(range(tensor.ndim)) if not axes else {axis % tensor.ndim for axis in axes}
    names = [str(axis) for axis in range(tensor.ndim)]
    left: list[str | None] = [
        None if axis in gone else name for axis, name in enumerate(names) if keep or axis not in gone
    ]
    return combine(edges, [tensor], [names], left, shape)


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


def normalise(edges: Edges, tensor: Tensor, axes: Sequence[int], parameters: Sequence[Tensor | None]) -> Labels:
    """A norm layer: each of its parameters runs along ``axes`` of the tensor."""
    names = [str(axis) for axis in range(tensor.ndim)]
    inner = [names[axis] for axis in axes]
    given = [parameter for parameter in parameters if parameter is not None and parameter.ndim]
    labels = combine(edges, [tensor, *given], [names, *(inner for _ in given)], names, tensor.shape)
    return Labels(labels.labels, labels.constant, labels_of(tensor).weight, labels_of(tensor).parameter)


def linear(edges: Edges, tensor: Tensor, weight: Tensor, bias: Tensor | None, shape: Sequence[int]) -> Labels:
    """``tensor @ weight.T + bias``."""
    names: list[str | None] = [str(axis) for axis in range(tensor.ndim - 1)]
    result = [*names, "out"]
    labels = combine(edges, [tensor, weight], [[*names, "in"], ["out", "in"]], result, shape)
    _use(edges, weight)
    return labels if bias is None else _biased(edges, labels, bias, tensor.ndim - 1)


def _biased(edges: Edges, labels: Labels, bias: Tensor, axis: int) -> Labels:
    outputs, own = labels.along(axis), labels_of(bias).along(0)
    if outputs is not None and own is not None:
        edges.link(outputs.numbers, own.numbers)
    return labels


def convolution(
    edges: Edges, tensor: Tensor, weight: Tensor, bias: Tensor | None, groups: int, shape: Sequence[int]
) -> Labels:
    """A convolution of any number of spatial axes; with groups, inputs and outputs of a group are a bundle."""
    own = labels_of(weight)
    inputs, outputs = labels_of(tensor).along(1), own.along(0)
    if inputs is None and not labels_of(tensor).weight and own.parameter is not None:
        edges.image_weights.add(own.parameter)
    space: list[str | None] = [None] * (tensor.ndim - 2)
    if groups == 1 or inputs is None or outputs is None:
        labels = combine(
            edges,
            [tensor, weight],
            [["batch", "in" if groups == 1 else None, *space], ["out", "in", *space]],
            ["batch", "out", *space],
            shape,
        )
        _use(edges, weight)
        return labels if bias is None else _biased(edges, labels, bias, 1)
    inside, outside = inputs.numbers.reshape(groups, -1), outputs.numbers.reshape(groups, -1)
    if own.parameter is not None:
        edges.inputs[own.parameter] = np.repeat(inside, outside.shape[1], axis=0)
        edges.layers.add(own.parameter)
    if inside.shape[1] == outside.shape[1] == 1:
        edges.link(inputs.numbers, outputs.numbers)
    else:
        edges.bundle(np.concatenate([inside, outside], axis=1), [0], whole=False)
    labels = Labels((Label((1,), outputs.numbers),), weight=labels_of(tensor).weight and own.weight)
    return labels if bias is None else _biased(edges, labels, bias, 1)


def _use(edges: Edges, weight: Tensor) -> None:
    labels = labels_of(weight)
    for label in labels.labels[:2]:
        edges.use(label.numbers)
    if labels.parameter is not None:
        edges.layers.add(labels.parameter)


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
