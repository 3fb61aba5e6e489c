"""Pairs each coupled dimension of a student with the dimension of the teacher that it will be taken from.

Nothing is chosen yet.

Elements that occur in the same places are of one kind (:mod:`~.kinds`), and in a network of plain layers each kind is a
dimension. Kinds whose elements share groups are the *members* of one dimension. Here a student has two attention heads
and its teacher three; each head is a group of two elements of the queries and keys, and two of the values::

    queries and keys    student [[a b] [c d]]    teacher [[A B] [C D] [E F]]
    values              student [[e f] [g h]]    teacher [[G H] [I J] [K L]]

Whichever heads are chosen later, row ``i`` of the student will be row ``indices[i]`` of the teacher, in both members.
An element that is alone is a group of its own, and a row of one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from dwskd_monai.weight_selection.coupling import Numbers
from dwskd_monai.weight_selection.kinds import Kind, Kinds, distinct


@dataclass(frozen=True)
class Member:
    """Elements of one kind as the rows of a dimension, for instance the values of each head.

    A row is a group, a part of one, or a single element.

    Args:
        tensor: the student's tensor in which they are met first.
        student: the student's elements ``(rows, elements of a row)``.
        teacher: the teacher's elements ``(rows, elements of a row)``.
    """

    tensor: str
    student: Numbers
    teacher: Numbers


@dataclass(frozen=True)
class PairedDimension:
    """A dimension of the student, and the dimension of the teacher that it will be taken from.

    Args:
        name: unique in a pairing.
        layer: the layer that makes the dimension in the student.
        members: at least one; a row is the same group in all of them.
    """

    name: str
    layer: str
    members: list[Member] = field(default_factory=list)

    @property
    def student_size(self) -> int:
        """How many rows the student has."""
        return len(self.members[0].student)

    @property
    def teacher_size(self) -> int:
        """How many rows the teacher has."""
        return len(self.members[0].teacher)


@dataclass(frozen=True)
class Pairing:
    """All dimensions of a student, paired with those of the teacher.

    Args:
        dimensions: in the order in which they are met.
        axes, student_count, teacher_count: see :class:`~.kinds.Kinds`.
    """

    dimensions: list[PairedDimension]
    axes: Mapping[str, tuple[Numbers, ...]]
    student_count: int
    teacher_count: int


@dataclass(frozen=True)
class _RowOrder:
    """Which group each row of the members of a dimension is.

    Args:
        student_groups: numbers of groups in the student's coupling.
        teacher_groups: numbers of groups in the teacher's coupling.
        parts: each of the teacher's groups is divided into this many parts, and each part is a row.
        is_whole: whether some of the groups are only taken whole.
    """

    student_groups: Numbers
    teacher_groups: Numbers
    parts: int
    is_whole: bool


def pair_dimensions(kinds: Kinds) -> Pairing:
    """Sort the kinds into dimensions: kinds whose elements share groups become members of one dimension.

    Each kind becomes a matrix of the student and one of the teacher, with a row for each group::

        kind              student  groups     teacher        groups          member
        queries and keys  0 1 2 3  0 0 1 1    0 1 2 3 4 5    0 0 1 1 2 2     [[0 1] [2 3]]  [[0 1] [2 3] [4 5]]
        values            4 5 6 7  0 0 1 1    6 7 8 9 10 11  0 0 1 1 2 2     [[4 5] [6 7]]  [[6 7] [8 9] [10 11]]
        channels          8 9      2 3        12 13 14 15    3 4 5 6         [[8] [9]]      [[12] [13] [14] [15]]

    The first two are members of one dimension, with two rows of the student and three of the teacher; the third is a
    dimension of its own.

    Raises:
        ValueError: if the student is wider than the teacher, heads differ in size, only the teacher is divided into
            groups, or groups do not match; the message names the tensor.
    """
    dimensions: list[PairedDimension] = []
    row_orders: dict[int, _RowOrder] = {}  # by the number of the dimension; no other kind joins one of elements
    dimension_of_group: dict[int, int] = {}
    for kind in kinds.kinds:
        _check_student_is_grouped_too(kind)
        if _ignores_student_groups(kind):
            dimensions.append(_dimension_of_elements(kind, dimensions))
            continue
        groups = distinct(kind.student_groups).tolist()
        if dimension_of_group.keys().isdisjoint(groups):
            dimension_of_group |= dict.fromkeys(groups, len(dimensions))
            row_orders[len(dimensions)] = _row_order(kind)
            dimensions.append(PairedDimension(_free_name(kind.layer, dimensions), kind.layer))
        number = dimension_of_group.get(groups[0])
        if number is None or any(dimension_of_group.get(group) != number for group in groups):
            raise ValueError(
                f"{kind.tensor}: axis {kind.axis} joins groups of several dimensions; weight selection cannot match "
                "these"
            )
        dimensions[number].members.append(_member(kind, row_orders[number]))
    return Pairing(dimensions, kinds.axes, kinds.student_count, kinds.teacher_count)


def _check_student_is_grouped_too(kind: Kind) -> None:
    if kind.teacher_is_grouped and not kind.student_is_grouped:
        raise ValueError(
            f"{kind.tensor}: axis {kind.axis} is divided into groups in the teacher, but not in the student; "
            "choose a student whose convolutions have groups too"
        )


def _ignores_student_groups(kind: Kind) -> bool:
    """Whether the student's elements are chosen one by one, although they have groups.

    If the student's convolution has groups and the teacher's has none, the student's groups may take any channels.
    """
    return kind.student_is_grouped and not kind.teacher_is_grouped and not kind.student_is_whole


def _dimension_of_elements(kind: Kind, dimensions: Iterable[PairedDimension]) -> PairedDimension:
    """A new dimension in which each element is a row of its own."""
    _check_width(kind, len(kind.student), len(kind.teacher))
    member = Member(kind.tensor, kind.student[:, None], kind.teacher[:, None])
    return PairedDimension(_free_name(kind.layer, dimensions), kind.layer, [member])


def _row_order(kind: Kind) -> _RowOrder:
    """The rows of the members of a new dimension.

    If the student has more and smaller groups, those of the teacher are divided: for 6 groups of 4 elements and a
    teacher with 2 groups of 16, each of the teacher's has 3 parts of 5.

    Raises:
        ValueError: if the student has more elements than the teacher, or more groups that are only taken whole.
    """
    student_groups = distinct(kind.student_groups)
    teacher_groups = distinct(kind.teacher_groups)
    is_whole = kind.student_is_whole or kind.teacher_is_whole
    if not kind.student_is_grouped:
        _check_width(kind, len(kind.student), len(kind.teacher))
    if len(student_groups) <= len(teacher_groups):
        return _RowOrder(student_groups, teacher_groups, parts=1, is_whole=is_whole)
    if kind.student_is_whole:
        raise ValueError(
            f"{kind.tensor}: the student has more groups than the teacher ({len(student_groups)} > "
            f"{len(teacher_groups)} along axis {kind.axis}), and takes whole groups (attention heads, for instance); "
            "choose a student with fewer or a larger teacher"
        )
    parts = math.ceil(len(student_groups) / len(teacher_groups))
    return _RowOrder(student_groups, teacher_groups, parts, is_whole)


def _member(kind: Kind, row_order: _RowOrder) -> Member:
    """Elements of a kind as rows, one for each group of the dimension."""
    rows = _rows(kind.student, kind.student_groups, row_order.student_groups)
    teacher_rows = _rows(kind.teacher, kind.teacher_groups, row_order.teacher_groups)
    if rows is None or teacher_rows is None:
        raise ValueError(
            f"{kind.tensor}: axis {kind.axis} has groups of different sizes, or only some elements of a group; weight "
            "selection cannot match these"
        )
    if row_order.parts > 1:
        teacher_rows = _divided(kind, teacher_rows, row_order.parts, rows)
    size = rows.shape[1]
    teacher_size = teacher_rows.shape[1]
    if row_order.is_whole and size != teacher_size:
        raise ValueError(
            f"{kind.tensor}: axis {kind.axis} is taken in whole groups (attention heads, for instance), but one has "
            f"{teacher_size} elements in the teacher and {size} in the student; choose a pair with groups of equal size"
        )
    if size > teacher_size:
        raise ValueError(
            f"{kind.tensor}: a group has {size} elements along axis {kind.axis} in the student and {teacher_size} in "
            "the teacher; choose a student with narrower groups"
        )
    return Member(kind.tensor, rows, teacher_rows)


def _divided(kind: Kind, teacher_rows: Numbers, parts: int, rows: Numbers) -> Numbers:
    """Each of the teacher's rows divided into several of equal length; elements that are left over are dropped.

    ::

        [[0 1 2 3 4] [5 6 7 8 9]] in 2 parts    ->    [[0 1] [2 3] [5 6] [7 8]]

    Raises:
        ValueError: if the parts are shorter than the student's ``rows``.
    """
    part_size = teacher_rows.shape[1] // parts
    if part_size < rows.shape[1]:
        raise ValueError(
            f"{kind.tensor}: {len(rows)} groups of {rows.shape[1]} elements along axis {kind.axis} cannot be cut out "
            f"of the teacher's {len(teacher_rows)} of {teacher_rows.shape[1]}; choose a narrower student or a larger "
            "teacher"
        )
    return teacher_rows[:, : parts * part_size].reshape(-1, part_size)


def _rows(elements: Numbers, groups: Numbers, order: Numbers) -> Numbers | None:
    """Elements as rows, one for each group in this order; None if the groups have different numbers of elements.

    ::

        elements 4 5 6 7 of the groups 9 2 9 2, in the order 2 9    ->    [[5, 7], [4, 6]]

    Args:
        elements: numbers of elements ``(n,)``.
        groups: for each of the elements, its group ``(n,)``.
        order: the groups; elements of other groups are left out.
    """
    row_of_group = np.full(max(groups.max(), order.max()) + 1, len(order))
    row_of_group[order] = np.arange(len(order))
    row = row_of_group[groups]
    sizes = np.bincount(row, minlength=len(order))[: len(order)]
    if sizes[0] == 0 or (sizes != sizes[0]).any():
        return None
    by_row = elements[np.argsort(row, kind="stable")]
    return by_row[: sizes.sum()].reshape(len(order), -1)


def _check_width(kind: Kind, size: int, teacher_size: int) -> None:
    if size > teacher_size:
        raise ValueError(
            f"{kind.tensor}: the student is wider than the teacher ({size} > {teacher_size} along axis {kind.axis}); "
            "choose a narrower student or a larger teacher"
        )


def _free_name(layer: str, dimensions: Iterable[PairedDimension]) -> str:
    """The name of the layer, followed by a number if the layer makes several dimensions."""
    names = {dimension.name for dimension in dimensions}
    name = layer
    number = 1
    while name in names:
        number += 1
        name = f"{layer} ({number})"
    return name
