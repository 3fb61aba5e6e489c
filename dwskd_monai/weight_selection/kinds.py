"""Finds the elements of a student and of its teacher that occur in the same places, which are tensors and their axes.

::

    student                             teacher
    stem.weight  axis 0   a b           stem.weight  axis 0   A B C D
    last.weight  axis 1   a b c         last.weight  axis 1   A B C D E F

    a and b occur in stem.weight and last.weight, and so do A B C D; c occurs in last.weight alone, and so do E and F.
    So a b and A B C D are one kind, and c and E F are another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.weight_selection.coupling import Coupling, Numbers


@dataclass(frozen=True)
class Kind:
    """Elements of the student that occur in the same places, and the teacher's elements that occur there too.

    Args:
        tensor: the student's tensor in which they are met first.
        axis: the axis of this tensor.
        layer: the layer that makes them in the student.
        student: the student's elements ``(n,)``, in the order in which they are met.
        teacher: the teacher's elements ``(m,)``.
        student_groups: for each of the student's elements, its group ``(n,)``.
        teacher_groups: for each of the teacher's elements, its group ``(m,)``.
        student_is_whole: whether some of the student's groups are only taken whole.
        teacher_is_whole: whether some of the teacher's groups are only taken whole.
    """

    tensor: str
    axis: int
    layer: str
    student: Numbers
    teacher: Numbers
    student_groups: Numbers
    teacher_groups: Numbers
    student_is_whole: bool
    teacher_is_whole: bool

    @property
    def student_is_grouped(self) -> bool:
        """Whether a group of the student has several elements of this kind."""
        return len(distinct(self.student_groups)) < len(self.student)

    @property
    def teacher_is_grouped(self) -> bool:
        """Whether a group of the teacher has several elements of this kind."""
        return len(distinct(self.teacher_groups)) < len(self.teacher)


@dataclass(frozen=True)
class Kinds:
    """All kinds of a student and of its teacher.

    Args:
        kinds: in the order in which they are met, tensor by tensor.
        axes: for each tensor of the student and each of its axes, the elements along it, as in :class:`Coupling`. Where
            only one network couples dimensions, the student's elements are replaced by new ones, see :func:`_split`.
        student_count: how many elements there are in ``axes``; some of them are of no kind.
        teacher_count: how many elements the teacher has.
    """

    kinds: list[Kind]
    axes: Mapping[str, tuple[Numbers, ...]]
    student_count: int
    teacher_count: int


def find_kinds(student: Coupling, teacher: Coupling, sources: Mapping[str, str]) -> Kinds:
    """Find the kinds of two networks, in the order in which they are met, tensor by tensor.

    If the student couples what the teacher does not, or the reverse, no elements of the teacher occur in the same
    places. The student's elements are then replaced, see :func:`_split`.

    Args:
        student: coupling of the student.
        teacher: coupling of the teacher.
        sources: for each tensor of the student that is taken from the teacher, the teacher's tensor.

    Raises:
        ValueError: if the couplings of the networks do not match; the message names the tensor.
    """
    signatures, teacher_signatures = _signatures(student, teacher, sources)
    makers = _makers(student, sources)
    kinds: list[Kind] = []
    met = np.zeros(len(student.groups), dtype=bool)
    coupling = student  # gets the new elements of _split; the student stays as it was traced
    for name, source in sources.items():
        # a linear layer may be a 1x1 convolution, with more axes, in the other network
        for axis, along in enumerate(student.axes[name][: len(teacher.axes[source])]):
            if (name, axis) in student.fixed or (source, axis) in teacher.fixed:
                continue
            new = distinct(along[~met[along]])
            if not len(new):
                continue
            met[new] = True
            teacher_along = distinct(teacher.axes[source][axis])
            for signature in distinct(signatures[new]):
                elements = new[signatures[new] == signature]
                teacher_elements = teacher_along[teacher_signatures[teacher_along] == signature]
                if len(teacher_elements):
                    groups = student.groups[elements]
                    teacher_groups = teacher.groups[teacher_elements]
                    kind = Kind(
                        tensor=name,
                        axis=axis,
                        layer=makers.get(int(elements[0]), layer_of(name)),
                        student=elements,
                        teacher=teacher_elements,
                        student_groups=groups,
                        teacher_groups=teacher_groups,
                        student_is_whole=bool(student.whole[groups].any()),
                        teacher_is_whole=bool(teacher.whole[teacher_groups].any()),
                    )
                    kinds.append(kind)
                else:
                    more, coupling = _split(elements, coupling, teacher, sources)
                    kinds += more
    return Kinds(kinds, coupling.axes, student_count=len(coupling.groups), teacher_count=len(teacher.groups))


def _signatures(
    student: Coupling, teacher: Coupling, sources: Mapping[str, str]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """For each element of the student and the teacher, a number that tells in which places and how often it occurs.

    Each place has a random number of 64 bits, and the signature of an element is the sum over its places. So elements
    of the same places have the same signature, and others do not, except with a probability of 2**-64. Tensors of the
    teacher that no tensor of the student is taken from are left out::

        stem.weight axis 0 is 7, last.weight axis 1 is 5    ->    a b A B C D have 12, c E F have 5
    """
    random = np.random.default_rng(0)
    signatures = np.zeros(len(student.groups), dtype=np.uint64)
    teacher_signatures = np.zeros(len(teacher.groups), dtype=np.uint64)
    for name, source in sources.items():
        for along, teacher_along in zip(student.axes[name], teacher.axes[source]):
            place = random.integers(2**64, dtype=np.uint64)
            np.add.at(signatures, _once(along), place)
            np.add.at(teacher_signatures, _once(teacher_along), place)
    return signatures, teacher_signatures


def _once(along: Numbers) -> Numbers:
    """Each input of a grouped convolution once; they are listed for each output."""
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


def _split(
    elements: Numbers, student: Coupling, teacher: Coupling, sources: Mapping[str, str]
) -> tuple[list[Kind], Coupling]:
    """Replace elements of the student by new ones, for each of the teacher's dimensions along which they occur.

    timm's mobile networks have a shortcut wherever two widths happen to be equal, which may be so in one network alone.
    Each of the teacher's dimensions then gets its own index set, used wherever it occurs::

        student     axis 0 of first.weight and of second.weight run along a b, since their outputs are added
        teacher     axis 0 of first.weight runs along A B C, that of second.weight along D E F
        result      axis 0 of first.weight runs along m n, of one kind with A B C;
                    axis 0 of second.weight runs along o p, of one kind with D E F

    In the reverse case, in which the teacher alone has the shortcut, each of the student's dimensions is replaced by
    one of its own kind, and gets an index set of its own into the teacher's one dimension::

        student     axis 0 of first.weight runs along a b, that of second.weight along c d
        teacher     axis 0 of first.weight and of second.weight run along A B C
        result      axis 0 of first.weight runs along m n, of one kind with A B C;
                    axis 0 of second.weight runs along o p, of another kind with A B C

    Args:
        elements: the student's elements, which all occur in the same places.
        student, teacher, sources: see :func:`find_kinds`.

    Returns:
        The kinds of the new elements; and the student's coupling with them, each of which is a group of its own.
    """
    axes = dict(student.axes)
    count = len(student.groups)
    kinds: dict[bytes, Kind] = {}
    for name, source in sources.items():
        for axis, along in enumerate(student.axes[name]):
            if not np.isin(along, elements).any():
                continue
            teacher_elements = distinct(teacher.axes[source][axis])
            _check_split(name, axis, along, elements, source, teacher_elements, teacher)
            key = teacher_elements.tobytes()
            if key not in kinds:
                added = count - len(student.groups) + np.arange(len(elements))
                teacher_groups = teacher.groups[teacher_elements]  # each of its own, which _check_split saw to
                kinds[key] = Kind(
                    tensor=name,
                    axis=axis,
                    layer=layer_of(name),
                    student=len(student.groups) + added,
                    teacher=teacher_elements,
                    student_groups=len(student.whole) + added,
                    teacher_groups=teacher_groups,
                    student_is_whole=False,
                    teacher_is_whole=bool(teacher.whole[teacher_groups].any()),
                )
                count += len(elements)
            replacement = np.zeros(len(student.groups), dtype=np.int64)
            replacement[elements] = kinds[key].student
            axes[name] = (*axes[name][:axis], replacement[along], *axes[name][axis + 1 :])
    new = count - len(student.groups)
    groups = np.concatenate([student.groups, len(student.whole) + np.arange(new)])
    whole = np.concatenate([student.whole, np.zeros(new, dtype=bool)])
    return list(kinds.values()), dataclasses.replace(student, axes=axes, groups=groups, whole=whole)


def _check_split(
    name: str,
    axis: int,
    along: Numbers,
    elements: Numbers,
    source: str,
    teacher_elements: Numbers,
    teacher: Coupling,
) -> None:
    """Check that only ``elements`` are along the axis, and that the teacher has enough of them, without groups."""
    alone = set(along.ravel().tolist()) == set(elements.tolist())
    without_groups = len(np.unique(teacher.groups[teacher_elements])) == len(teacher_elements)
    if not (alone and without_groups and len(teacher_elements) >= len(elements)):
        raise ValueError(
            f"{name}: axis {axis} of the student is coupled with other tensors than in the teacher's {source}, or is "
            "wider; both must be networks of one family with the same options"
        )


def distinct(numbers: NDArray) -> NDArray:
    """The distinct numbers, in the order of their first occurrence."""
    flat = numbers.ravel()
    _, first = np.unique(flat, return_index=True)
    in_order: NDArray = flat[np.sort(first)]
    return in_order


def layer_of(name: str) -> str:
    """The layer that a tensor belongs to, or the tensor itself if it is not a layer's weight or bias."""
    layer, _, tensor = name.rpartition(".")
    return layer if tensor in ("weight", "bias") else name
