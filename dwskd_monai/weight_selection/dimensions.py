"""Pairs each coupled dimension of a student with the teacher's that it will be taken from. Nothing is chosen yet.

A student's dimension is the teacher's that occurs in the same places, which are tensors and their axes::

    student                             teacher
    stem.weight  axis 0   a b           stem.weight  axis 0   A B C D
    last.weight  axis 1   a b c         last.weight  axis 1   A B C D E F

    a and b occur in stem.weight and last.weight, as A B C D do; c occurs in last.weight alone, as E and F do.
    So one dimension pairs a b with A B C D, another one pairs c with E F.

If elements are only taken together, groups are paired. Here two heads of the student and three of the teacher have a
group each, with two elements of the queries and keys, and two of the values. They are one dimension with two members::

    queries and keys    student [[a b] [c d]]    teacher [[A B] [C D] [E F]]
    values              student [[e f] [g h]]    teacher [[G H] [I J] [K L]]

Whichever heads are chosen, row ``i`` of the student will be row ``indices[i]`` of the teacher, in both members.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.weight_selection.coupling import Coupling, Numbers


@dataclass(frozen=True)
class Member:
    """Elements of one kind in the groups of a dimension, the values of each head for instance.

    Args:
        tensor: the student's tensor in which they were met first.
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
        members: at least one; all have the same groups.
    """

    name: str
    layer: str
    members: tuple[Member, ...]

    @property
    def student_size(self) -> int:
        """How many groups the student has; an element that is alone counts as a group."""
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
        axes: for each tensor of the student, per axis, the elements along it, as in :class:`Coupling`. Where the
            student couples what the teacher does not, each of the teacher's dimensions has elements of its own here.
        count: how many elements there are in ``axes``; some of them are in no dimension.
    """

    dimensions: tuple[PairedDimension, ...]
    axes: Mapping[str, tuple[Numbers, ...]]
    count: int


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
    pairs = _Pairs(
        student,
        teacher,
        sources,
        axes=dict(student.axes),
        paired=np.zeros(len(student.groups), dtype=bool),
        dimension_of_group=np.full(len(student.whole), -1, dtype=np.int64),
        count=len(student.groups),
    )
    student_signatures, teacher_signatures = _signatures(student, teacher, sources)
    makers = _makers(student, sources)
    for name, source in sources.items():
        for axis, along in enumerate(student.axes[name][: len(teacher.axes[source])]):
            if (name, axis) in student.fixed or (source, axis) in teacher.fixed:
                continue
            unpaired = _distinct(along[~pairs.paired[along]])
            candidates = _distinct(teacher.axes[source][axis])
            for signature in _distinct(student_signatures[unpaired]):
                elements = unpaired[student_signatures[unpaired] == signature]
                teacher_elements = candidates[teacher_signatures[candidates] == signature]
                layer = makers.get(int(elements[0]), layer_of(name))
                if len(teacher_elements):
                    pairs.pair(name, axis, layer, elements, teacher_elements)
                else:
                    pairs.split(elements)
                pairs.paired[elements] = True
    dimensions = tuple(PairedDimension(d.name, d.layer, tuple(d.members)) for d in pairs.dimensions)
    return Pairing(dimensions, pairs.axes, pairs.count)


def _signatures(
    student: Coupling, teacher: Coupling, sources: Mapping[str, str]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """For each element of the student and of the teacher, a number that tells in which places it occurs, how often.

    Each place has a random number, and a signature is their sum. Places of the teacher that the student has no
    counterpart of do not count, so elements of one dimension have the same signature in both networks.
    """
    random = np.random.default_rng(0)
    student_signatures = np.zeros(len(student.groups), dtype=np.uint64)
    teacher_signatures = np.zeros(len(teacher.groups), dtype=np.uint64)
    for name, source in sources.items():
        for student_along, teacher_along in zip(student.axes[name], teacher.axes[source]):
            place = random.integers(2**64, dtype=np.uint64)
            np.add.at(student_signatures, _once_for_each_output(student_along), place)
            np.add.at(teacher_signatures, _once_for_each_output(teacher_along), place)
    return student_signatures, teacher_signatures


def _once_for_each_output(along: Numbers) -> Numbers:
    """Inputs of a grouped convolution are listed for each output, of which the networks have different numbers."""
    return along if along.ndim == 1 else np.unique(along)


def _makers(student: Coupling, sources: Mapping[str, str]) -> dict[int, str]:
    """For each element of the student that is an output of layers, the first of these layers."""
    makers: dict[int, str] = {}
    for name in sources:
        if name in student.layers:
            layer = layer_of(name)
            for element in student.axes[name][0].tolist():
                makers.setdefault(element, layer)
    return makers


@dataclass
class _OpenDimension:
    """A dimension that may get more members.

    Args:
        name, layer, members: see :class:`PairedDimension`.
        student_groups: the student's groups, in the order of the rows of all members; none if its only member is known.
        teacher_groups: the same of the teacher.
        parts: each of the teacher's groups is divided into so many, and each part counts as a group.
    """

    name: str
    layer: str
    members: list[Member]
    student_groups: Numbers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    teacher_groups: Numbers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    parts: int = 1


@dataclass
class _Pairs:
    """What has been paired so far.

    Args:
        student, teacher, sources: see :func:`pair_dimensions`.
        axes, count: see :class:`Pairing`.
        paired: for each element of the student whether it is in a dimension.
        dimension_of_group: for each group of the student its dimension, -1 for none.
        dimensions: in the order in which they are met.
    """

    student: Coupling
    teacher: Coupling
    sources: Mapping[str, str]
    axes: dict[str, tuple[Numbers, ...]]
    paired: NDArray[np.bool_]
    dimension_of_group: Numbers
    count: int
    dimensions: list[_OpenDimension] = field(default_factory=list)

    def pair(self, name: str, axis: int, layer: str, elements: Numbers, teacher_elements: Numbers) -> None:
        """Pair elements that lie along one axis and occur in the same places: a new dimension, or a new member."""
        groups = _distinct(self.student.groups[elements])
        teacher_groups = _distinct(self.teacher.groups[teacher_elements])
        grouped = len(groups) < len(elements)
        teacher_grouped = len(teacher_groups) < len(teacher_elements)
        if grouped and not teacher_grouped and not self.student.whole[groups].any():
            # The teacher has one group for all channels, so the student's groups may take them from anywhere.
            _check_width(name, axis, len(elements), len(teacher_elements))
            member = Member(name, axis, elements[:, None], teacher_elements[:, None])
            self.dimensions.append(_OpenDimension(self._free_name(layer), layer, [member]))
            return
        if teacher_grouped and not grouped:
            raise ValueError(
                f"{name}: axis {axis} is divided into {len(teacher_groups)} groups in the teacher and not at all in "
                "the student; choose a student whose convolutions have groups too"
            )
        known = self.dimension_of_group[groups] >= 0
        if not known.any():
            size = len(elements) // len(groups)
            parts = self._parts(name, axis, groups, size, teacher_groups, len(teacher_elements))
            self.dimension_of_group[groups] = len(self.dimensions)
            self.dimensions.append(_OpenDimension(self._free_name(layer), layer, [], groups, teacher_groups, parts))
        elif not known.all():
            raise ValueError(f"{name}: a part of axis {axis} is grouped with dimensions that were paired before")
        for number in _distinct(self.dimension_of_group[groups]):
            self._add_member(self.dimensions[number], name, axis, elements, teacher_elements)

    def split(self, elements: Numbers) -> None:
        """Pair a dimension that the student couples and the teacher does not.

        Widths that happen to be equal give timm's mobile networks a shortcut, which may be there in one network alone.
        Each of the teacher's dimensions then gets its own index set, used wherever it occurs: in ``axes`` the
        student's elements are replaced, there, by new ones::

            student: first.weight axis 0 and second.weight axis 0 run along a b
            teacher: first.weight axis 0 runs along A B C, second.weight axis 0 along D E F
            split:   first.weight axis 0 runs along m n, paired with A B C; second.weight axis 0 along o p, with D E F
        """
        new_elements: dict[bytes, Numbers] = {}
        for name, source in self.sources.items():
            for axis, along in enumerate(self.student.axes[name]):
                if not np.isin(along, elements).any():
                    continue
                teacher_elements = _distinct(self.teacher.axes[source][axis])
                self._check_split(name, axis, elements, source, teacher_elements)
                key = teacher_elements.tobytes()
                if key not in new_elements:
                    new_elements[key] = np.arange(self.count, self.count + len(elements))
                    self.count += len(elements)
                    member = Member(name, axis, new_elements[key][:, None], teacher_elements[:, None])
                    layer = layer_of(name)
                    self.dimensions.append(_OpenDimension(self._free_name(layer), layer, [member]))
                replaced = np.zeros(len(self.student.groups), dtype=np.int64)
                replaced[elements] = new_elements[key]
                axes = list(self.axes[name])
                axes[axis] = replaced[along]
                self.axes[name] = tuple(axes)

    def _check_split(self, name: str, axis: int, elements: Numbers, source: str, teacher_elements: Numbers) -> None:
        along = self.student.axes[name][axis]
        same_elements = set(along.ravel().tolist()) == set(elements.tolist())
        without_groups = len(np.unique(self.teacher.groups[teacher_elements])) == len(teacher_elements)
        if not (same_elements and without_groups and len(teacher_elements) >= len(elements)):
            raise ValueError(
                f"{name}: axis {axis} of the student is coupled with other tensors than in the teacher's {source}, or "
                "wider; both must be networks of one family with the same options"
            )

    def _parts(
        self, name: str, axis: int, groups: Numbers, size: int, teacher_groups: Numbers, teacher_length: int
    ) -> int:
        """Into how many parts the teacher's groups are divided, if the student has more and smaller ones.

        A student with 6 groups of 4 elements and a teacher with 2 groups of 16: each of these has 3 parts of 5.
        """
        if len(groups) <= len(teacher_groups):
            return 1
        parts = -(-len(groups) // len(teacher_groups))
        part_size = teacher_length // len(teacher_groups) // parts
        if self.student.whole[groups].any() or part_size < size:
            _check_width(name, axis, len(groups), len(teacher_groups))
        return parts

    def _free_name(self, layer: str) -> str:
        """The layer's name, with a number behind it if it makes several dimensions."""
        names = {dimension.name for dimension in self.dimensions}
        name = layer
        number = 1
        while name in names:
            number += 1
            name = f"{layer} ({number})"
        return name

    def _add_member(
        self, dimension: _OpenDimension, name: str, axis: int, elements: Numbers, teacher_elements: Numbers
    ) -> None:
        rows = _rows(elements, self.student.groups, dimension.student_groups)
        teacher_rows = _rows(teacher_elements, self.teacher.groups, dimension.teacher_groups)
        if rows is None or teacher_rows is None:
            raise ValueError(
                f"{name}: axis {axis} has groups of different sizes, or only some of those that are taken together; "
                "such a network cannot be selected from"
            )
        if dimension.parts > 1:
            size = teacher_rows.shape[1] // dimension.parts
            teacher_rows = teacher_rows[:, : dimension.parts * size].reshape(-1, size)
        size = rows.shape[1]
        teacher_size = teacher_rows.shape[1]
        whole = self.student.whole[dimension.student_groups].any() or self.teacher.whole[dimension.teacher_groups].any()
        if whole and size != teacher_size:
            raise ValueError(
                f"{name}: axis {axis} is taken in whole groups (attention heads, for instance), but one has "
                f"{teacher_size} elements in the teacher and {size} in the student; choose a pair with groups of one "
                "size"
            )
        if size > teacher_size:
            raise ValueError(
                f"{name}: a group has {size} elements along axis {axis} in the student and {teacher_size} in the "
                "teacher; choose a student with narrower groups"
            )
        dimension.members.append(Member(name, axis, rows, teacher_rows))


def _rows(elements: Numbers, groups: Numbers, order: Numbers) -> Numbers | None:
    """Elements as rows, one for each group in this order; None if the groups do not have as many elements each.

    ::

        elements 4 5 6 7 of the groups 9 2 9 2, in the order 2 9    ->    [[5, 7], [4, 6]]
    """
    row_of_group = np.full(int(groups.max()) + 1, len(order))
    row_of_group[order] = np.arange(len(order))
    row = row_of_group[groups[elements]]
    sizes = np.bincount(row, minlength=len(order))[: len(order)]
    if sizes[0] == 0 or (sizes != sizes[0]).any():
        return None
    by_row = elements[np.argsort(row, kind="stable")]
    return by_row[: sizes.sum()].reshape(len(order), -1)


def _check_width(name: str, axis: int, size: int, teacher_size: int) -> None:
    if size > teacher_size:
        raise ValueError(
            f"{name}: the student is wider than the teacher ({size} > {teacher_size} along axis {axis}); choose a "
            "narrower student or a larger teacher"
        )


def _distinct(numbers: NDArray) -> NDArray:
    """The distinct numbers, in the order of their first occurrence."""
    flat = numbers.ravel()
    _, first = np.unique(flat, return_index=True)
    distinct: NDArray = flat[np.sort(first)]
    return distinct


def layer_of(name: str) -> str:
    """The layer that a tensor belongs to, or the tensor itself if it is not a layer's weight or bias."""
    layer, _, tensor = name.rpartition(".")
    return layer if tensor in ("weight", "bias") else name
