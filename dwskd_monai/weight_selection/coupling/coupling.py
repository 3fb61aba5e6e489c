"""The result of tracing a network: :class:`Coupling`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.weight_selection.coupling.labels import Numbers


@dataclass(frozen=True)
class Coupling:
    """Which axes of a network's parameters and buffers run along the same elements, and which elements form a group.

    Take two linear layers, ``last(first(image))``. Channel ``b`` between them is a row of the first weight, an entry of
    the first bias and a column of the second weight. A network without it lacks all three::

           first.weight (3, 4)    first.bias (3,)    last.weight (2, 3)    last.bias (2,)

                                                         a   b   c
             a  · · · ·              a  ·            d   ·   x   ·           d  ·
             b  x x x x              b  x            e   ·   x   ·           e  ·
             c  · · · ·              c  ·

    So axis 0 of ``first.weight``, axis 0 of ``first.bias`` and axis 1 of ``last.weight`` are one *coupled dimension*:
    they run along the same *elements* ``a b c``. Here elements are numbers::

        axes = {
            "first.weight": ([0, 1, 2], [5, 6, 7, 8]),
            "first.bias":   ([0, 1, 2],),
            "last.weight":  ([3, 4], [0, 1, 2]),
            "last.bias":    ([3, 4],),
        }

    Elements that belong together form a *group*. One that is ``whole`` is taken or left as a whole; any other may lose
    elements, the same number in each group. Take two attention heads with two elements each. Queries and
    keys have the same elements, since they are multiplied one by one; values have their own. A head is a group of
    both::

        queries  0 1 | 2 3         keys  0 1 | 2 3         values  4 5 | 6 7

        groups[[0, 1, 4, 5]] are equal, and so are groups[[2, 3, 6, 7]]; whole of both is True

    In a convolution with groups, inputs and outputs of one group belong together too, but each may be thinned out:
    ``whole`` is False. Any other element is a group of its own.

    Args:
        axes: for each tensor of the state dict and each of its axes, the elements along it: ``(length,)``, or
            ``(outputs, inputs of a group)`` for the inputs of a grouped convolution, which differ between groups.
        groups: for each element, its group ``(elements,)``.
        whole: for each group, whether it is only taken whole ``(groups,)``; otherwise elements may be dropped inside
            groups, the same number from every group.
        fixed: tensors and axes that are not channels: positions, the sides of a kernel, the channels of the image.
        image_weights: weights of the convolutions that see the image itself.
        layers: weights ``(out, in, …)`` of linear layers and convolutions.
        classifier: weights and biases of the layers whose outputs are the network's (linear layers or convolutions,
            usually one), if nothing else runs along these outputs.
        unused: tensors that have no part in the forward pass.
    """

    axes: dict[str, tuple[Numbers, ...]]
    groups: Numbers
    whole: NDArray[np.bool_]
    fixed: frozenset[tuple[str, int]] = frozenset()
    image_weights: frozenset[str] = frozenset()
    layers: frozenset[str] = frozenset()
    classifier: frozenset[str] = frozenset()
    unused: frozenset[str] = frozenset()
