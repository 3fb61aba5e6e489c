"""How important each element of a teacher's coupled dimensions is."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.weight_selection.coupling import Coupling
from dwskd_monai.weight_selection.weights import Weights


def element_scores(teacher: Coupling, weights: Weights, names: Iterable[str]) -> NDArray[np.float64]:
    """For each element, the squared L2 norm of the weights of linear layers and convolutions in which it occurs.

    Weights count both for their outputs and for their inputs, as in the group norm of DepGraph (Fang et al., arXiv
    2301.12900). Norm layers, biases and tables are left out, since their scales differ. The scale of a convolution
    before a batch norm means nothing either, but is counted.

    Args:
        teacher: coupling of the network.
        weights: its tensors; one is read at a time.
        names: the tensors that count: those that the student takes a part of.

    Returns:
        A score for each element of ``teacher`` ``(elements,)``.
    """
    scores = np.zeros(len(teacher.groups))
    for name in names:
        if name not in teacher.layers:
            continue
        weight = weights[name].detach().double()
        squares = weight.reshape(*weight.shape[:2], -1).square().sum(2).cpu().numpy()  # (outputs, inputs)
        outputs, inputs = teacher.axes[name][:2]
        # A depthwise convolution has one input for each output, which is the same element and counts once.
        depthwise = inputs.ndim > 1 and np.array_equal(inputs.ravel(), outputs)
        if (name, 0) not in teacher.fixed:
            np.add.at(scores, outputs, squares.sum(1))
        if (name, 1) not in teacher.fixed and not depthwise:
            np.add.at(scores, inputs, squares if inputs.ndim > 1 else squares.sum(0))
    return scores
