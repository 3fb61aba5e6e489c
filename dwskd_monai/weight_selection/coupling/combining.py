"""Labels of operations that combine operands along axes that they share: sums, products, contractions, layers.

All of them are Einstein sums as far as axes are concerned: :func:`combine` has the rules, the others its letters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from dwskd_monai.weight_selection.coupling.labels import Edges, Label, Labels, Numbers, labels_of

Letters = Sequence[str | None]


def combine(edges: Edges, operands: Sequence[Tensor], letters: Sequence[Letters], result: Letters) -> Labels:
    """Labels of an operation that is an Einstein sum as far as axes are concerned.

    Axes with the same letter are the same index. A letter that is missing in ``result`` is contracted.

    Args:
        operands: the tensors.
        letters: for each operand one letter for each axis; None for an axis that is nobody else's.
        result: the letters of the result's axes.
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
    kept = tuple(str(names[label.axes[place]]) for place in keep)
    if len(keep) == len(label.axes):
        return kept, label.numbers
    return kept, np.squeeze(label.numbers, tuple(place for place in range(len(label.axes)) if place not in keep))


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
    if order != left:
        numbers = np.transpose(numbers, [left.index(name) for name in order])
    return Label(tuple(places[name] for name in order), numbers)


def pointwise(edges: Edges, operands: Sequence[Tensor], shape: Sequence[int]) -> Labels:
    """Operands broadcast against each other, element by element."""
    tensors = [operand for operand in operands if operand.ndim]
    if len(tensors) == 1 and tuple(tensors[0].shape) == tuple(shape):
        return labels_of(tensors[0])
    names = [str(axis) for axis in range(len(shape))]
    return combine(edges, tensors, [names[len(names) - tensor.ndim :] for tensor in tensors], names)


def reduce(edges: Edges, tensor: Tensor, axes: Sequence[int] | None, keep: bool) -> Labels:
    """Sum, mean, norm, … over some axes (all if None)."""
    gone = set(range(tensor.ndim)) if not axes else {axis % tensor.ndim for axis in axes}
    names = [str(axis) for axis in range(tensor.ndim)]
    left: list[str | None] = [
        None if axis in gone else name for axis, name in enumerate(names) if keep or axis not in gone
    ]
    return combine(edges, [tensor], [names], left)


def normalise(edges: Edges, tensor: Tensor, axes: Sequence[int], parameters: Sequence[Tensor | None]) -> Labels:
    """A norm layer: each of its parameters runs along ``axes`` of the tensor."""
    names = [str(axis) for axis in range(tensor.ndim)]
    inner = [names[axis] for axis in axes]
    given = [parameter for parameter in parameters if parameter is not None and parameter.ndim]
    labels = combine(edges, [tensor, *given], [names, *(inner for _ in given)], names)
    return Labels(labels.labels, labels.constant, labels_of(tensor).weight, labels_of(tensor).parameter)


def linear(edges: Edges, tensor: Tensor, weight: Tensor, bias: Tensor | None) -> Labels:
    """``tensor @ weight.T + bias``."""
    names: list[str | None] = [str(axis) for axis in range(tensor.ndim - 1)]
    result = [*names, "out"]
    labels = combine(edges, [tensor, weight], [[*names, "in"], ["out", "in"]], result)
    _use(edges, weight)
    return labels if bias is None else _biased(edges, labels, bias, tensor.ndim - 1)


def _biased(edges: Edges, labels: Labels, bias: Tensor, axis: int) -> Labels:
    outputs, own = labels.along(axis), labels_of(bias).along(0)
    if outputs is not None and own is not None:
        edges.link(outputs.numbers, own.numbers)
    return labels


def convolution(edges: Edges, tensor: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Labels:
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
