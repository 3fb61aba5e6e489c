"""What follows for each tensor from what the operations of a network said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dwskd_monai.weight_selection.coupling.coupling import Coupling
from dwskd_monai.weight_selection.coupling.graph import CouplingGraph
from dwskd_monai.weight_selection.coupling.labels import Numbers, labels_of

Axes = dict[str, tuple[Numbers, ...]]


def conclude(
    graph: CouplingGraph, names: Iterable[str], numbers: Mapping[str, Sequence[Numbers]], output: Tensor
) -> Coupling:
    """The coupling of a network that has been traced.

    Args:
        graph: what its operations said.
        names: its tensors, in the order of the state dict.
        numbers: for each tensor and each of its axes, the numbers that it got before the network ran.
        output: what came out, with its labels.
    """
    known = graph.known()
    unused = frozenset(name for name, axes in numbers.items() if axes and not any(known[along].any() for along in axes))
    for numbers_by_axis in numbers.values():
        for along in numbers_by_axis:
            if not known[along].any():  # positions, the side of a kernel, a tensor without use: nothing was said of it
                graph.group(along)
    elements, groups, whole = graph.components()
    axes_of = _elements_along(graph, names, numbers, elements)
    logits = np.zeros(len(groups), dtype=bool)
    outputs = labels_of(output).along(1)
    if outputs is not None:
        logits[elements[outputs.numbers]] = True
    return Coupling(
        axes=axes_of,
        groups=groups,
        whole=whole,
        fixed=_fixed(axes_of, groups, whole, graph.image_weights),
        image_weights=frozenset(graph.image_weights),
        layers=frozenset(graph.layers),
        classifier=_classifier(axes_of, logits, graph.layers),
        unused=unused,
    )


def _elements_along(
    graph: CouplingGraph, names: Iterable[str], numbers: Mapping[str, Sequence[Numbers]], elements: Numbers
) -> Axes:
    axes: Axes = {}
    for name in names:
        along = [elements[numbers_along] for numbers_along in numbers[name]]
        if name in graph.grouped_inputs:
            along[1] = elements[graph.grouped_inputs[name]]
        axes[name] = tuple(along)
    return axes


def _fixed(
    axes: Axes, groups: Numbers, whole: NDArray[np.bool_], image_weights: Iterable[str]
) -> frozenset[tuple[str, int]]:
    """Axes that are one whole group, of which no other axis has an element."""
    group_of: dict[tuple[str, int], int] = {}
    occurrences = np.zeros(len(whole), dtype=np.int64)
    for name, along in axes.items():
        for axis, elements in enumerate(along):
            present = groups[elements].ravel()
            occurrences[present] += 1  # once for each group, however often it is present: so NumPy adds to an index
            if len(present) and whole[present[0]] and (present == present[0]).all():
                group_of[name, axis] = int(present[0])
    alone = {place for place, group in group_of.items() if occurrences[group] == 1}
    return frozenset(alone | {(name, 1) for name in image_weights})


def _classifier(axes: Axes, logits: NDArray[np.bool_], layers: set[str]) -> frozenset[str]:
    """Weights and biases of the layers whose outputs are the network's, if nothing else runs along these.

    Args:
        axes: see :class:`Coupling`.
        logits: for each element, whether it is one of the network's outputs.
        layers: weights of linear layers and convolutions.
    """
    places = [
        (name, axis) for name, along in axes.items() for axis, elements in enumerate(along) if logits[elements].any()
    ]
    names = {name for name, _ in places}
    last_layers = {name.removesuffix("weight") for name in names & layers}
    allowed = {f"{layer}{tensor}" for layer in last_layers for tensor in ("weight", "bias")}
    only_outputs = all(axis == 0 for _, axis in places)
    return frozenset(names) if only_outputs and names <= allowed else frozenset()
