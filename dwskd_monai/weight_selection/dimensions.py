"""Pairs each coupled dimension of a student with the teacher's that it will be taken from. Nothing is chosen yet.

Elements that occur in the same places are of one kind (:mod:`~.kinds`), and in a network of plain layers each kind is a
dimension. If elements are only taken together, a dimension has several kinds, which are its *members*. Here a student
has two attention heads and its teacher three; each head is a group of two elements of the queries and keys, and two of
the values::

    queries and keys    student [[a b] [c d]]    teacher [[A B] [C D] [E F]]
    values              student [[e f] [g h]]    teacher [[G H] [I J] [K L]]

Whichever heads are chosen later, row ``i`` of the student will be row ``indices[i]`` of the teacher, in both members.
An element that is alone is a group of its own, and a row of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from dwskd_monai.weight_selection.coupling import Coupling, Numbers
from dwskd_monai.weight_selection.kinds import Kind, distinct, find_kinds


@dataclass(frozen=True)
class Member:
    """Elements of one kind in the groups of a dimension, the values of each head for instance.

    Args:
        tensor: the student's tensor in which they are met first.
        axis: its axis.
        student: the student's elements ``(groups, elements of a group)``.
        teacher: the teacher's elements ``(groups, elements of a group)``.
    """

    tensor: str
    axis: int
    student: Numbers
    teacher: Numbers


@dataclass(frozen=True)
class PairedDimension:
    """A dimension of the student and the teacher's that it will be taken from.

    Args:
        name: unique in a pairing.
        layer: the layer that makes the dimension in the student.
        members: at least one, and all have the same groups.
    """

    name: str
    layer: str
    members: list[Member] = field(default_factory=list)

    @property
    def student_size(self) -> int:
        """How many groups the student has."""
        return len(self.members[0].student)

    @property
    def teacher_size(self) -> int:
        """How many groups the teacher has."""
        return len(self.members[0].teacher)


@dataclass(frozen=True)
class Pairing:
    """All dimensions of a student with the teacher's.

    Args:
        dimensions: in the order in which they are met.
        axes: for each tensor of the student, per axis, the elements along it, as in :class:`Coupling`. If the student
            couples what the teacher does not, each of the teacher's dimensions has elements of its own here.
        count: how many elements there are in ``axes``; some of them are in no dimension.
    """

    dimensions: list[PairedDimension]
    axes: Mapping[str, tuple[Numbers, ...]]
    count: int


@dataclass(frozen=True)
class _Groups:
    """The groups of a dimension, in the order of the rows of its members.

    Args:
        student: numbers of groups in the student's coupling.
        teacher: numbers of groups in the teacher's coupling.
        parts: each of the teacher's groups is divided into so many, and each part counts as a group.
    """

    student: Numbers
    teacher: Numbers
    parts: int


def pair_dimensions(student: Coupling, teacher: Coupling, sources: Mapping[str, str]) -> Pairing:
    """Pair each coupled dimension of the student with the teacher's.

    Args:
        student: coupling of the small network.
        teacher: coupling of the large network.
        sources: for each tensor of the student that is taken from the teacher, the teacher's tensor.

    Raises:
        ValueError: if the student is wider than the teacher, heads differ in size, or the networks are not coupled
            alike; the message names the tensor.
    """
    kinds, student = find_kinds(student, teacher, sources)
    dimensions: list[PairedDimension] = []
    groups_of: dict[str, _Groups] = {}
    dimension_of_group = np.full(len(student.whole), -1)
    for kind in kinds:
        _check_grouped_alike(kind, student, teacher)
        name = _free_name(kind.layer, dimensions)
        if _is_free(kind, student, teacher):
            _check_width(kind, len(kind.student), len(kind.teacher))
            member = Member(kind.tensor, kind.axis, kind.student[:, None], kind.teacher[:, None])
            dimensions.append(PairedDimension(name, kind.layer, [member]))
            continue
        groups = distinct(student.groups[kind.student])
        known = dimension_of_group[groups] >= 0
        if not known.any():  # a new dimension; otherwise the kind is a further member
            dimension_of_group[groups] = len(dimensions)
            dimensions.append(PairedDimension(name, kind.layer))
            groups_of[name] = _matched_groups(kind, student, teacher)
        elif not known.all():
            raise ValueError(f"{kind.tensor}: a part of axis {kind.axis} is grouped with dimensions that came before")
        for number in distinct(dimension_of_group[groups]):
            dimension = dimensions[number]
            dimension.members.append(_member(kind, groups_of[dimension.name], student, teacher))
    return Pairing(dimensions, student.axes, len(student.groups))


def _is_grouped(elements: Numbers, coupling: Coupling) -> bool:
    """Whether some of the elements are taken together."""
    return len(np.unique(coupling.groups[elements])) < len(elements)


def _check_grouped_alike(kind: Kind, student: Coupling, teacher: Coupling) -> None:
    if _is_grouped(kind.teacher, teacher) and not _is_grouped(kind.student, student):
        raise ValueError(
            f"{kind.tensor}: axis {kind.axis} is divided into groups in the teacher and not at all in the student; "
            "choose a student whose convolutions have groups too"
        )


def _is_free(kind: Kind, student: Coupling, teacher: Coupling) -> bool:
    """Whether the student's elements are chosen one by one, although they have groups.

    If the student's convolution has groups and the teacher's has none, its groups may take any of the channels.
    """
    whole = student.whole[student.groups[kind.student]].any()
    return _is_grouped(kind.student, student) and not _is_grouped(kind.teacher, teacher) and not whole


def _matched_groups(kind: Kind, student: Coupling, teacher: Coupling) -> _Groups:
    """The groups of a new dimension.

    If the student has more and smaller ones, those of the teacher are divided: for 6 groups of 4 elements and a teacher
    with 2 groups of 16, each of the teacher's has 3 parts of 5.
    """
    groups = distinct(student.groups[kind.student])
    teacher_groups = distinct(teacher.groups[kind.teacher])
    parts = 1
    if len(groups) > len(teacher_groups):
        parts = -(-len(groups) // len(teacher_groups))
        size = len(kind.student) // len(groups)
        part_size = len(kind.teacher) // len(teacher_groups) // parts
        if student.whole[groups].any() or part_size < size:
            _check_width(kind, len(groups), len(teacher_groups))
    return _Groups(groups, teacher_groups, parts)


def _member(kind: Kind, groups: _Groups, student: Coupling, teacher: Coupling) -> Member:
    """Elements of a kind as rows, one for each group of the dimension."""
    rows = _rows(kind.student, student.groups, groups.student)
    teacher_rows = _rows(kind.teacher, teacher.groups, groups.teacher)
    if rows is None or teacher_rows is None:
        raise ValueError(
            f"{kind.tensor}: axis {kind.axis} has groups of different sizes, or only some of those that are taken "
            "together, which weight selection cannot match"
        )
    if groups.parts > 1:
        part_size = teacher_rows.shape[1] // groups.parts
        teacher_rows = teacher_rows[:, : groups.parts * part_size].reshape(-1, part_size)
    size = rows.shape[1]
    teacher_size = teacher_rows.shape[1]
    whole = student.whole[groups.student].any() or teacher.whole[groups.teacher].any()
    if whole and size != teacher_size:
        raise ValueError(
            f"{kind.tensor}: axis {kind.axis} is taken in whole groups (attention heads, for instance), but one has "
            f"{teacher_size} elements in the teacher and {size} in the student; choose a pair with groups of one size"
        )
    if size > teacher_size:
        raise ValueError(
            f"{kind.tensor}: a group has {size} elements along axis {kind.axis} in the student and {teacher_size} in "
            "the teacher; choose a student with narrower groups"
        )
    return Member(kind.tensor, kind.axis, rows, teacher_rows)


def _rows(elements: Numbers, groups: Numbers, order: Numbers) -> Numbers | None:
    """Elements as rows, one for each group in this order; None if the groups do not have as many elements each.

    ::

        elements 4 5 6 7 of the groups 9 2 9 2, in the order 2 9    ->    [[5, 7], [4, 6]]

    Args:
        elements: numbers of elements ``(n,)``.
        groups: for each element of the network its group.
        order: groups; elements of others are left out.
    """
    row_of_group = np.full(int(groups.max()) + 1, len(order))
    row_of_group[order] = np.arange(len(order))
    row = row_of_group[groups[elements]]
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
    """The layer's name, with a number behind it if it makes several dimensions."""
    names = {dimension.name for dimension in dimensions}
    name = layer
    number = 1
    while name in names:
        number += 1
        name = f"{layer} ({number})"
    return name
