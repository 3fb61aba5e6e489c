"""Labels of layers and other operations that are made of :func:`~.combining.combine`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from dwskd_monai.weight_selection.coupling.combining import combine
from dwskd_monai.weight_selection.coupling.graph import CouplingGraph
from dwskd_monai.weight_selection.coupling.labels import Label, Labels, labels_of


def pointwise(graph: CouplingGraph, operands: Sequence[Tensor], shape: Sequence[int]) -> Labels:
    """Operands broadcast against each other, element by element."""
    tensors = [operand for operand in operands if operand.ndim]
    if len(tensors) == 1 and tuple(tensors[0].shape) == tuple(shape):
        return labels_of(tensors[0])
    names = [str(axis) for axis in range(len(shape))]
    return combine(graph, tensors, [names[len(names) - tensor.ndim :] for tensor in tensors], names)


def reduce(graph: CouplingGraph, tensor: Tensor, axes: Sequence[int] | None, keep: bool) -> Labels:
    """Sum, mean, norm, … over some axes (all if None)."""
    gone = {axis % tensor.ndim for axis in axes} if axes else set(range(tensor.ndim))
    names = [str(axis) for axis in range(tensor.ndim)]
    left: list[str | None] = []
    for axis, name in enumerate(names):
        if axis not in gone:
            left.append(name)
        elif keep:
            left.append(None)
    return combine(graph, [tensor], [names], left)


def normalize(graph: CouplingGraph, tensor: Tensor, axes: Sequence[int], parameters: Sequence[Tensor | None]) -> Labels:
    """A norm layer: each of its parameters runs along ``axes`` of the tensor."""
    names = [str(axis) for axis in range(tensor.ndim)]
    inner = [names[axis] for axis in axes]
    given = [parameter for parameter in parameters if parameter is not None and parameter.ndim]
    labels = combine(graph, [tensor, *given], [names, *(inner for _ in given)], names)
    return Labels(labels.labels, labels.constant, labels_of(tensor).weight, labels_of(tensor).parameter)


def linear(graph: CouplingGraph, tensor: Tensor, weight: Tensor, bias: Tensor | None) -> Labels:
    """``tensor @ weight.T + bias``."""
    names: list[str | None] = [str(axis) for axis in range(tensor.ndim - 1)]
    labels = combine(graph, [tensor, weight], [[*names, "in"], ["out", "in"]], [*names, "out"])
    _note_layer(graph, weight)
    _link_bias(graph, labels, bias, tensor.ndim - 1)
    return labels


def convolution(graph: CouplingGraph, tensor: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Labels:
    """A convolution of any number of spatial axes."""
    weight_labels = labels_of(weight)
    tensor_labels = labels_of(tensor)
    inputs = tensor_labels.along(1)
    outputs = weight_labels.along(0)
    # Axis 1 may have no label of its own although a layer came before: it may be tokens, or heads with their elements.
    is_image = not tensor_labels.labels and not tensor_labels.weight
    if is_image and weight_labels.parameter is not None:
        graph.image_weights.add(weight_labels.parameter)
    if groups > 1 and inputs is not None and outputs is not None:
        labels = _grouped_convolution(graph, inputs, outputs, weight_labels, groups, tensor_labels.weight)
    else:
        space: list[str | None] = [None] * (tensor.ndim - 2)
        image = ["batch", "in" if groups == 1 else None, *space]
        labels = combine(graph, [tensor, weight], [image, ["out", "in", *space]], ["batch", "out", *space])
        _note_layer(graph, weight)
    _link_bias(graph, labels, bias, 1)
    return labels


def _grouped_convolution(
    graph: CouplingGraph, inputs: Label, outputs: Label, weight: Labels, groups: int, weight_alone: bool
) -> Labels:
    """The inputs and outputs of a group belong together; if there is one of each, they are the same element.

    Four inputs, four outputs and two groups::

        inputs   0 1 | 2 3        outputs  4 5 | 6 7        groups {0 1 4 5} and {2 3 6 7}
        inputs of each output: [[0 1], [0 1], [2 3], [2 3]]
    """
    inside = inputs.numbers.reshape(groups, -1)
    outside = outputs.numbers.reshape(groups, -1)
    if weight.parameter is not None:
        graph.grouped_inputs[weight.parameter] = np.repeat(inside, outside.shape[1], axis=0)
        graph.layers.add(weight.parameter)
    if inside.shape[1] == outside.shape[1] == 1:
        graph.link(inputs.numbers, outputs.numbers)
    else:
        graph.group(np.concatenate([inside, outside], axis=1), keep=[0], whole=False)
    return Labels((Label((1,), outputs.numbers),), weight=weight_alone and weight.weight)


def _link_bias(graph: CouplingGraph, labels: Labels, bias: Tensor | None, axis: int) -> None:
    """A bias runs along the outputs of its layer, which are ``axis`` of the result."""
    if bias is None:
        return
    outputs = labels.along(axis)
    along_bias = labels_of(bias).along(0)
    if outputs is not None and along_bias is not None:
        graph.link(outputs.numbers, along_bias.numbers)


def _note_layer(graph: CouplingGraph, weight: Tensor) -> None:
    labels = labels_of(weight)
    for label in labels.labels[:2]:
        graph.use(label.numbers)
    if labels.parameter is not None:
        graph.layers.add(labels.parameter)
