"""Labels say which element each position along a tensor's axis stands for.

Before a network runs, each position along each axis of each parameter gets a number of its own. Labels carry these
numbers through the network::

    weight (2, 3) of a linear layer    axis 0: 0 1    axis 1: 2 3 4
    bias   (2,)                        axis 0: 5 6
    output (batch, 2)                  axis 1: 0 1                      and the graph learns that 0 is 5, and 1 is 6

Most labels are of one axis. When four channels become two heads with two elements each, the label is of two axes, which
is how a fused projection keeps its meaning when it is reshaped::

    (batch, 4)        axes (1,): 0 1 2 3
    (batch, 2, 2)     axes (1, 2): [[0 1], [2 3]]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Numbers = NDArray[np.int64]


class Label(NamedTuple):
    """Numbers of the elements along some axes of a tensor.

    Args:
        axes: increasing positions of axes.
        numbers: one number for each index along these axes, in an array of as many axes.
    """

    axes: tuple[int, ...]
    numbers: Numbers


@dataclass(frozen=True)
class Labels:
    """All that is known about a tensor's axes.

    Args:
        labels: those of the channel dimensions; other axes (batch, positions, space) have none.
        constant: axes along which all values are equal, so that they say nothing about the axis of another operand.
        weight: whether it was computed from parameters and constants alone, not from the image.
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
    """The labels that were put on a tensor; none if it has not met a labeled tensor."""
    labels: Labels = getattr(tensor, "_labels", NOTHING)
    return labels


def put_labels(tensor: Tensor, labels: Labels) -> Tensor:
    """Put labels on a tensor and return it."""
    tensor._labels = labels  # type: ignore[attr-defined]
    return tensor
