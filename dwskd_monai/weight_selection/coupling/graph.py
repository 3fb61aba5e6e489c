"""Collects what operations say about numbers: which stand for one element, and which elements form a group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dwskd_monai.weight_selection.coupling.labels import Numbers

Edges = tuple[Numbers, Numbers]


class Components(NamedTuple):
    """What follows from all that the operations said.

    Args:
        elements: for each number, its element.
        groups: for each element, its group.
        whole: for each group, whether it is only taken whole.
    """

    elements: Numbers
    groups: Numbers
    whole: NDArray[np.bool_]


class CouplingGraph:
    """A graph of numbers; the connected components are the elements, and components of elements are the groups.

    Example::

        link([0 1 2], [5 6 7])              0 and 5 are one element, so are 1 and 6, and 2 and 7
        group([[0 1], [2 3]], keep=[0])     0 and 1 are one group, 2 and 3 are another
        join_groups([0 2], [8 9])           the groups of 0 and 8 are one, so are those of 2 and 9

    Attributes:
        grouped_inputs: for the weight ``(outputs, inputs of a group, …)`` of each grouped convolution, the numbers of
            its inputs, which differ between groups.
        image_weights: weights of the convolutions that see the image itself.
        layers: weights of linear layers and convolutions.
    """

    def __init__(self) -> None:
        self._count = 0
        self._links: list[Edges] = []
        self._group_edges: list[Edges] = []
        self._whole: list[Numbers] = []
        self._layer_sides: list[Numbers] = []
        self.grouped_inputs: dict[str, Numbers] = {}
        self.image_weights: set[str] = set()
        self.layers: set[str] = set()

    def fresh(self, shape: Sequence[int]) -> Numbers:
        """Numbers that have not been used before."""
        start = self._count
        self._count += math.prod(shape)
        return np.arange(start, self._count, dtype=np.int64).reshape(tuple(shape))

    def link(self, first: Numbers, second: Numbers) -> None:
        """Record that both stand for the same elements, one by one."""
        if first is not second:
            self._links.append((first.ravel(), second.ravel()))

    def use(self, numbers: Numbers) -> None:
        """Record that these are inputs or outputs of a layer, so that a subset of them can be taken."""
        self._layer_sides.append(numbers.ravel())

    def group(self, numbers: Numbers, keep: Sequence[int] = (), whole: bool = True) -> None:
        """Record that elements with the same index along the axes ``keep`` are taken together.

        Args:
            numbers: of any shape.
            keep: axes of ``numbers``; none puts all numbers in one group.
            whole: all of a group are taken, or none; otherwise elements may be dropped inside groups, the same number
                from every group.
        """
        ordered = np.moveaxis(numbers, list(keep), range(len(keep)))
        count = math.prod(ordered.shape[: len(keep)])
        rows = ordered.reshape(count, -1)
        first = rows[:, 0]
        others = rows[:, 1:]
        if whole:
            self._whole.append(first)
        if others.size:
            self._group_edges.append((np.repeat(first, others.shape[1]), others.ravel()))

    def join_groups(self, first: Numbers, second: Numbers) -> None:
        """Record that the groups of these elements are taken together, one by one."""
        self._group_edges.append((first.ravel(), second.ravel()))

    def known(self) -> NDArray[np.bool_]:
        """For each number, whether any operation said something about it."""
        known = np.zeros(self._count, dtype=bool)
        for edge in (*self._links, *self._group_edges):
            known[edge[0]] = True
            known[edge[1]] = True
        for numbers in (*self._whole, *self._layer_sides):
            known[numbers] = True
        return known

    def components(self) -> Components:
        """Elements and groups."""
        elements = _components(self._count, self._links)
        count = int(elements.max(initial=-1)) + 1
        groups = _components(count, [(elements[first], elements[second]) for first, second in self._group_edges])
        whole = np.zeros(int(groups.max(initial=-1)) + 1, dtype=bool)
        for numbers in self._whole:
            whole[groups[elements[numbers]]] = True
        return Components(elements, groups, whole)


def _components(count: int, edges: Sequence[Edges]) -> Numbers:
    """For each of ``count`` nodes, the number of its connected component."""
    if not edges:
        return np.arange(count, dtype=np.int64)
    first = np.concatenate([edge[0] for edge in edges])
    second = np.concatenate([edge[1] for edge in edges])
    graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)
