"""Chooses, for each paired dimension, which of the teacher's elements the student takes.

Rows are chosen once for each dimension, and all members follow. With two heads of a student, three of the teacher, and
a rule that says ``indices = [0, 2]``, as ``importance`` might::

    queries and keys    student [[a b] [c d]]    teacher [[A B] [C D] [E F]]    a b c d are taken from A B E F
    values              student [[e f] [g h]]    teacher [[G H] [I J] [K L]]    e f g h are taken from G H K L

If a row of the teacher is longer than the student's (groups of a convolution), the rule is applied again inside each
chosen row, for each member. With ``[0]`` for the rows and ``[0, 2]`` inside::

    outputs of a group  student [[a b]]          teacher [[A B C D] [E F G H]]  a b are taken from A C
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.weight_selection.coupling import Coupling, Numbers
from dwskd_monai.weight_selection.dimensions import Member, PairedDimension, Pairing
from dwskd_monai.weight_selection.kinds import layer_of
from dwskd_monai.weight_selection.rules import Choice, Rules, choose
from dwskd_monai.weight_selection.weights import Weights

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ChosenDimension:
    """One index set, used wherever the dimension occurs.

    Args:
        teacher_size: rows of the teacher (elements, heads, groups of channels, or parts of such groups).
        student_size: rows of the student.
        unit: elements of a row in the student, of the kind that is met first (the queries of a head).
        indices: the teacher's rows, in the order of the student's.
    """

    teacher_size: int
    student_size: int
    unit: int
    indices: tuple[int, ...]


@dataclass(frozen=True)
class ChosenElements:
    """What a student takes.

    Args:
        elements: for each element of the student, the teacher's; -1 if none is chosen for it: positions, sides of a
            kernel and channels of the image, which :mod:`~.plan` adapts or requires to be equal in number; outputs of
            the classifier; elements that others replace, because only one of the networks couples them.
        taken: for each of the teacher's elements, whether the student has it.
        dimensions: the index set of each dimension, by its name.
    """

    elements: Numbers
    taken: Mask
    dimensions: dict[str, ChosenDimension]

    def along(self, pairing: Pairing) -> dict[str, tuple[Numbers, ...]]:
        """For each tensor of the student, per axis, the teacher's elements along it."""
        along = {}
        for name, axes in pairing.axes.items():
            along[name] = tuple(self.elements[numbers] for numbers in axes)
        return along


def choose_elements(
    pairing: Pairing, rules: Rules, scores: Scores | None = None, avoid: Mask | None = None
) -> ChosenElements:
    """Choose rows once for each paired dimension, and elements inside a row that is longer than the student's.

    With the members of :func:`~.dimensions.pair_dimensions`'s example, heads 0 and 2, and channels 1 and 3::

        elements[[0, 1, 2, 3]] = 0 1 4 5    elements[[4, 5, 6, 7]] = 6 7 10 11    elements[[8, 9]] = 13 15

    A row is avoided if the other student has any element of it, in any member; inside rows, each member is thinned on
    its own.

    Args:
        pairing: the student's dimensions with the teacher's.
        rules: the rule for elements, with its settings.
        scores: of each of the teacher's elements, see :func:`element_scores`; None if the rule does not use them.
        avoid: for each of the teacher's elements, whether the other student has it. Such elements are taken only if no
            others are left.

    Raises:
        ValueError: if ``avoid`` belongs to another teacher.
    """
    _check_avoid(avoid, pairing.teacher_count)
    elements = np.full(pairing.student_count, -1, dtype=np.int64)
    dimensions = {}
    for dimension in pairing.dimensions:
        indices = _choose_rows(dimension, rules, scores, avoid)
        for member in dimension.members:
            elements[member.student] = _choose_inside(member, indices, rules, scores, avoid)
        unit = dimension.members[0].student.shape[1]
        dimensions[dimension.name] = ChosenDimension(
            dimension.teacher_size, dimension.student_size, unit, tuple(indices.tolist())
        )
    taken = np.zeros(pairing.teacher_count, dtype=bool)
    taken[elements[elements >= 0]] = True
    return ChosenElements(elements, taken, dimensions)


def _check_avoid(avoid: Mask | None, count: int) -> None:
    if avoid is not None and avoid.shape != (count,):
        raise ValueError(
            f"avoid: expected one entry for each of the teacher's {count} elements, got shape {avoid.shape}; give "
            "'taken' of the report of a student of the same teacher"
        )


def _choose_rows(dimension: PairedDimension, rules: Rules, scores: Scores | None, avoid: Mask | None) -> Numbers:
    """Which of the teacher's rows are taken."""
    avoided = np.zeros(dimension.teacher_size, dtype=bool)
    totals = None if scores is None else np.zeros(dimension.teacher_size)
    for member in dimension.members:
        if avoid is not None:
            avoided |= avoid[member.teacher].any(axis=1)
        if scores is not None:
            totals += scores[member.teacher].sum(axis=1)
    choice = Choice(dimension.layer, dimension.teacher_size, dimension.student_size, totals, rules.offset, rules.seed)
    return choose(rules.element_rule, choice, avoided)


def _choose_inside(
    member: Member, indices: Numbers, rules: Rules, scores: Scores | None, avoid: Mask | None
) -> Numbers:
    """The elements of the chosen rows: all of them, or, in a group of a convolution, as many as the student has."""
    rows = member.teacher[indices]
    size = member.student.shape[1]
    if rows.shape[1] == size:
        return rows
    thinned = []
    for row in rows:
        row_scores = None if scores is None else scores[row]
        avoided = np.zeros(len(row), dtype=bool) if avoid is None else avoid[row]
        choice = Choice(layer_of(member.tensor), len(row), size, row_scores, rules.offset, rules.seed)
        thinned.append(row[choose(rules.element_rule, choice, avoided)])
    return np.stack(thinned)


def element_scores(teacher: Coupling, weights: Weights, names: Iterable[str]) -> Scores:
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
