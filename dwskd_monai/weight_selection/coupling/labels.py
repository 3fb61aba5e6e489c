"""Labels that say which element of which channel dimension an index along a tensor's axis is.

Each element of each parameter's axis gets a number. While a network runs, operations tell which numbers stand for the
same element (*links*) and which are only meaningful together (*bundles*: the elements of an attention head, or of a
group of a grouped convolution). Both are edges of a graph; its connected components are the answer.

A :class:`Label` is the numbers along one or several axes of a tensor: one axis for channels, two for (heads, elements
of a head), which is how a fused projection keeps its meaning when it is reshaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

Numbers = NDArray[np.int64]


class Label(NamedTuple):
    """Numbers of the elements along some axes of a tensor.

    Args:
        axes: increasing positions of axes.
        numbers: one number for each index along these axes; its shape is theirs.
    """

    axes: tuple[int, ...]
    numbers: Numbers


@dataclass(frozen=True)
class Labels:
    """All that is known of a tensor's axes.

    Args:
        labels: labels, none for an axis that is no channel dimension (batch, positions, space).
        constant: axes along which all values are equal, so that they say nothing of the axis of another operand.
        weight: computed from parameters and constants alone, not from the image.
        parameter: name of the only parameter that it was computed from, element by element; or None.
    """

    labels: tuple[Label, ...] = ()
    constant: frozenset[int] = frozenset()
    weight: bool = False
    parameter: str | None = None

    def along(self, axis: int) -> Label | None:
        """The label of this axis alone."""
        return next((label for label in self.labels if label.axes == (axis,)), None)


NOTHING = Labels()


def labels_of(tensor: Tensor) -> Labels:
    """The labels that a tracer has put on a tensor; none for a tensor that came from elsewhere."""
    found: Labels = getattr(tensor, "_labels", NOTHING)
    return found


def put_labels(tensor: Tensor, labels: Labels) -> Tensor:
    """Put labels on a tensor and return it."""
    tensor._labels = labels  # type: ignore[attr-defined]
    return tensor


class Edges:
    """What operations have told of the numbers.

    Attributes:
        inputs: for the weight of each grouped convolution ``(out, in / groups, …)``, the numbers of its inputs, which
            are others for each group.
        image_weights: weights of the convolutions that see the image itself.
        layers: weights of linear layers and convolutions.
    """

    def __init__(self) -> None:
        self._count = 0
        self._fresh: list[Numbers] = []  # keeps them alive, so that an id is one array's
        self._start: dict[int, int] = {}
        self._alias: dict[int, int] = {}
        self._links: list[tuple[Numbers, Numbers]] = []
        self._bundles: list[tuple[Numbers, Numbers]] = []
        self._whole: list[Numbers] = []
        self._used: list[Numbers] = []
        self._linked: list[Numbers] = []
        self.inputs: dict[str, Numbers] = {}
        self.image_weights: set[str] = set()
        self.layers: set[str] = set()

    def fresh(self, shape: Sequence[int]) -> Numbers:
        """Numbers that were never given before."""
        start, size = self._count, math.prod(shape)
        self._count += size
        numbers = np.arange(start, self._count, dtype=np.int64).reshape(tuple(shape))
        self._fresh.append(numbers)
        self._start[id(numbers)] = start
        return numbers

    def link(self, first: Numbers, second: Numbers) -> None:
        """Both stand for the same elements, one by one."""
        if first is second:
            return
        starts = self._start.get(id(first)), self._start.get(id(second))
        if starts[0] is None or starts[1] is None:
            self._links.append((first.ravel(), second.ravel()))
            return
        # Most links are of two whole arrays of numbers; which is which is then settled once, not for each number.
        roots = self._root(starts[0]), self._root(starts[1])
        if roots[0] != roots[1]:
            self._alias[max(roots)] = min(roots)
        self._linked += [first, second]

    def _root(self, start: int) -> int:
        while start in self._alias:
            start = self._alias[start]
        return start

    def use(self, numbers: Numbers) -> None:
        """They are the input or output of a layer, so a subset of them can be taken."""
        self._used.append(numbers.ravel())

    def bundle(self, numbers: Numbers, keep: Sequence[int] = (), whole: bool = True) -> None:
        """Elements that are taken together: all that have the same index along the axes ``keep``.

        Args:
            numbers: of any shape.
            keep: axes of ``numbers``.
            whole: all of them or none; otherwise the same number of them can be left out of each bundle.
        """
        ordered = np.moveaxis(numbers, list(keep), range(len(keep)))
        rows = ordered.reshape(int(np.prod(ordered.shape[: len(keep)])), -1)
        if whole:
            self._whole.append(rows[:, 0])
        if rows.shape[1] > 1:
            self._bundles.append((np.repeat(rows[:, 0], rows.shape[1] - 1), rows[:, 1:].ravel()))

    def join(self, first: Numbers, second: Numbers) -> None:
        """Bundles that are taken together, one by one."""
        self._bundles.append((first.ravel(), second.ravel()))

    def known(self) -> NDArray[np.bool_]:
        """For each number whether any operation said something of it."""
        known = np.zeros(self._count, dtype=bool)
        said = [side for edge in (*self._links, *self._bundles) for side in edge]
        for numbers in [*said, *self._linked, *self._whole, *self._used]:
            known[numbers] = True
        return known

    def components(self) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
        """What came of it.

        Returns:
            For each number its element; for each element its bundle; for each bundle whether it is taken whole.
        """
        first = np.arange(self._count, dtype=np.int64)
        for numbers in self._fresh:
            start = self._start[id(numbers)]
            root = self._root(start)
            if root != start:
                first[start : start + numbers.size] = np.arange(root, root + numbers.size)
        elements = _components(self._count, [(first[a], first[b]) for a, b in self._links])[first]
        elements = _renumbered(elements)
        count = int(elements.max(initial=-1)) + 1
        bundles = _components(count, [(elements[a], elements[b]) for a, b in self._bundles])
        whole = np.zeros(int(bundles.max(initial=-1)) + 1, dtype=bool)
        for numbers in self._whole:
            whole[bundles[elements[numbers]]] = True
        return elements, bundles, whole


def _renumbered(numbers: Numbers) -> Numbers:
    """The same partition with numbers from 0 on without gaps."""
    used = np.zeros(int(numbers.max(initial=-1)) + 1, dtype=np.int64)
    used[numbers] = 1
    renumbered: Numbers = (np.cumsum(used) - 1)[numbers]
    return renumbered


def _components(count: int, edges: Sequence[tuple[Numbers, Numbers]]) -> Numbers:
    if not edges:
        return np.arange(count, dtype=np.int64)
    first, second = (np.concatenate([edge[side] for edge in edges]) for side in (0, 1))
    graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)
