"""Matches the coupled dimensions of a student with the teacher's and chooses elements, once for each dimension."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.weight_selection.coupling import Coupling, Numbers
from dwskd_monai.weight_selection.rules import Choice, ElementRule, choose


@dataclass(frozen=True)
class Dimension:
    """One index set, used wherever the dimension occurs.

    Args:
        teacher_size: bundles of the dimension in the teacher (an element, a head, a group of channels).
        student_size: bundles of the dimension in the student.
        unit: elements of a bundle in the student.
        indices: the teacher's bundles, in the order of the student's.
    """

    teacher_size: int
    student_size: int
    unit: int
    indices: tuple[int, ...]


@dataclass
class Taken:
    """What a student has of the teacher's elements and bundles, for the next student to avoid."""

    elements: NDArray[np.bool_]
    bundles: NDArray[np.bool_]


class Matching:
    """For each element of the student, the teacher's element that it is taken from.

    Args:
        teacher: coupling of the teacher.
        student: coupling of the student.
        sources: for each tensor of the student that is taken from the teacher, the teacher's tensor.
        rule: chooses bundles of a dimension, and elements of a bundle where it may be thinned out.
        choice: makes what ``rule`` is asked: name, size, count and scores.
        scores: importance of each of the teacher's elements; empty if the rule does not ask.
        avoid: what the other student has.

    Attributes:
        elements: for each element of the student, the teacher's; -1 where it is nobody's channel (positions, the sides
            of a kernel, the channels of an image), which both networks must have alike.
        dimensions: what was chosen, by the name of the layer that makes the dimension.
        taken: what this student has.

    Raises:
        ValueError: if the student is wider than the teacher, heads differ in size, or the networks are not coupled
            alike; the message names the tensor.
    """

    def __init__(
        self,
        teacher: Coupling,
        student: Coupling,
        sources: Mapping[str, str],
        rule: ElementRule,
        choice: Callable[[str, int, int, NDArray[np.float64]], Choice],
        scores: NDArray[np.float64],
        avoid: Taken | None,
    ) -> None:
        self._teacher, self._student, self._sources = teacher, student, sources
        self._rule, self._choice, self._scores = rule, choice, scores
        count = len(teacher.groups)
        self._avoid = avoid or Taken(np.zeros(count, bool), np.zeros(len(teacher.whole), bool))
        self.elements = np.full(len(student.groups), -1, dtype=np.int64)
        self.dimensions: dict[str, Dimension] = {}
        self._bundles = np.full(len(student.whole), -1, dtype=np.int64)
        self._parts = np.zeros((len(student.whole), 2), dtype=np.int64)
        self._ours, self._theirs = self._signatures()
        self._makers = self._find_makers()
        self._settled: set[int] = set()
        self._apart: dict[tuple[str, int], Numbers] = {}
        for name in sources:
            for axis in range(len(student.axes[name])):
                self._match(name, axis)
        bundles = np.zeros(len(teacher.whole), bool)
        found = self.elements[self.elements >= 0]
        elements = np.zeros(count, bool)
        elements[found] = True
        for apart in self._apart.values():
            elements[apart] = True
            bundles[teacher.groups[apart]] = True
        bundles[teacher.groups[found]] = True
        self.taken = Taken(elements, bundles)

    def _signatures(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """For each element of the student and of the teacher a number that tells in which axes it occurs, how often.

        Axes of the teacher that the student has no counterpart of do not count, so elements of one dimension have
        one signature in both networks.
        """
        ours = np.zeros(len(self._student.groups), dtype=np.uint64)
        theirs = np.zeros(len(self._teacher.groups), dtype=np.uint64)
        for name, source in self._sources.items():
            for axis in range(min(len(self._student.axes[name]), len(self._teacher.axes[source]))):
                key = np.uint64(int.from_bytes(blake2b(f"{source}:{axis}".encode(), digest_size=8).digest(), "big"))
                for signatures, numbers in (
                    (ours, self._student.axes[name][axis]),
                    (theirs, self._teacher.axes[source][axis]),
                ):
                    np.add.at(signatures, np.unique(numbers) if numbers.ndim > 1 else numbers, key)
        return ours, theirs

    def _find_makers(self) -> tuple[list[str], NDArray[np.int64]]:
        """Layers, and for each element of the student which of them makes it first; -1 for none."""
        layers = [name for name in self._sources if name in self._student.layers]
        makers = np.full(len(self._student.groups), -1, dtype=np.int64)
        for number in reversed(range(len(layers))):
            makers[self._student.axes[layers[number]][0]] = number
        return [_layer(name) for name in layers], makers

    def _maker(self, name: str, mine: Numbers) -> str:
        """What a dimension is called: the layer that makes it, or else the tensor that it was met in."""
        layers, makers = self._makers
        number = int(makers[mine[0]])
        return layers[number] if number >= 0 else _layer(name)

    def _match(self, name: str, axis: int) -> None:
        """Choose for the dimensions along one axis of the student that have not been chosen before."""
        numbers = self._student.axes[name][axis]
        if id(numbers) in self._settled:
            return
        self._settled.add(id(numbers))
        ours = _in_order(numbers[self.elements[numbers] < 0])
        source = self._sources[name]
        if (name, axis) in self._student.fixed or (source, axis) in self._teacher.fixed:
            return
        if axis >= len(self._teacher.axes[source]):
            return
        theirs = _in_order(self._teacher.axes[source][axis])
        for signature in _in_order(self._ours[ours]):
            mine, other = ours[self._ours[ours] == signature], theirs[self._theirs[theirs] == signature]
            if len(other):
                self._choose(name, axis, mine, other)
            else:
                self._choose_apart(mine)

    def _choose(self, name: str, axis: int, mine: Numbers, other: Numbers) -> None:
        ours, theirs = self._student.groups[mine], self._teacher.groups[other]
        our_bundles, their_bundles = _in_order(ours), _in_order(theirs)
        grouped = len(our_bundles) < len(mine) and not self._student.whole[our_bundles].any()
        if grouped and len(their_bundles) == len(other):  # the teacher has no groups, so the student's may lie anywhere
            self._choose_elements(name, axis, mine, other)
            return
        if len(our_bundles) == len(mine) and len(their_bundles) < len(other):
            raise ValueError(
                f"{name}: axis {axis} is divided into {len(their_bundles)} groups in the teacher and not at all in the "
                "student; choose a student whose convolutions have groups too"
            )
        known = self._bundles[our_bundles] >= 0
        if not known.all():
            if known.any():
                raise ValueError(f"{name}: a part of axis {axis} is bundled with dimensions that were chosen before")
            self._choose_bundles(name, axis, mine, our_bundles, other, their_bundles)
        if len(mine) == len(our_bundles) and len(other) == len(their_bundles):
            place = np.full(len(self._teacher.whole), -1, dtype=np.int64)
            place[theirs] = other
            self.elements[mine] = place[self._bundles[ours]]
        else:
            for bundle in our_bundles:
                self._choose_inside(name, axis, bundle, mine[ours == bundle], other[theirs == self._bundles[bundle]])

    def _choose_elements(self, name: str, axis: int, mine: Numbers, other: Numbers) -> None:
        if len(mine) > len(other):
            raise ValueError(f"{name}: {_wider(len(mine), len(other), axis)}")
        maker = self._maker(name, mine)
        scores = self._scores[other] if len(self._scores) else self._scores
        choice = self._choice(maker, len(other), len(mine), scores)
        indices = choose(self._rule, choice, self._avoid.elements[other])
        self.elements[mine] = other[indices]
        self._add(maker, len(other), len(mine), 1, indices)

    def _choose_apart(self, mine: Numbers) -> None:
        """A dimension that is not coupled as in the teacher, because a shortcut is there in one network alone.

        Widths that happen to be equal give timm's mobile networks a shortcut. Each of the teacher's dimensions then
        gets its own index set, used wherever it occurs.
        """
        chosen: dict[tuple[int, ...], Numbers] = {}
        for name, source in self._sources.items():
            for axis, numbers in enumerate(self._student.axes[name]):
                if not np.isin(numbers, mine).any():
                    continue
                theirs = _in_order(self._teacher.axes[source][axis])
                bundles = self._teacher.groups[theirs]
                if (
                    len(np.unique(numbers)) != len(mine)
                    or not np.isin(numbers, mine).all()
                    or len(np.unique(bundles)) != len(theirs)
                    or len(theirs) < len(mine)
                ):
                    raise ValueError(
                        f"{name}: axis {axis} of the student is coupled with other tensors than in the teacher's "
                        f"{source}, or wider; both must be networks of one family with the same options"
                    )
                key = tuple(theirs.tolist())
                if key not in chosen:
                    avoid, scores = self._avoid.bundles[bundles], self._bundle_scores(bundles)
                    indices = choose(self._rule, self._choice(_layer(name), len(theirs), len(mine), scores), avoid)
                    chosen[key] = theirs[indices]
                    self._add(_layer(name), len(theirs), len(mine), 1, indices)
                place = np.full(len(self._student.groups), -1, dtype=np.int64)
                place[mine] = chosen[key]
                self._apart[name, axis] = place[numbers]
        self.elements[mine] = next(iter(chosen.values()))

    def along(self, name: str, axis: int) -> Numbers:
        """The teacher's elements along an axis of the student; -1 where it is nobody's channel."""
        apart = self._apart.get((name, axis))
        return self.elements[self._student.axes[name][axis]] if apart is None else apart

    def _bundle_scores(self, bundles: Numbers) -> NDArray[np.float64]:
        if not len(self._scores):
            return self._scores
        totals = np.bincount(self._teacher.groups, self._scores, len(self._teacher.whole))
        return np.asarray(totals, dtype=np.float64)[bundles]

    def _add(self, name: str, teacher_size: int, student_size: int, unit: int, indices: Numbers) -> None:
        free = _free_name(name, self.dimensions)
        self.dimensions[free] = Dimension(teacher_size, student_size, unit, tuple(indices.tolist()))

    def _choose_bundles(
        self, name: str, axis: int, mine: Numbers, ours: Numbers, other: Numbers, theirs: Numbers
    ) -> None:
        """Choose among the teacher's bundles, or among equal parts of them where the student has more, smaller ones."""
        our_size, parts = len(mine), 1
        if len(ours) > len(theirs):
            parts = -(-len(ours) // len(theirs))
            if self._student.whole[ours].any() or len(other) // len(theirs) // parts < our_size // len(ours):
                raise ValueError(f"{name}: {_wider(len(ours), len(theirs), axis)}")
        count = len(theirs) * parts
        scores = np.repeat(self._bundle_scores(theirs), parts)
        if parts == 1:
            avoid = self._avoid.bundles[theirs]
        else:
            elements = np.stack([other[self._teacher.groups[other] == bundle] for bundle in theirs])
            length = elements.shape[1] // parts
            avoid = self._avoid.elements[elements[:, : parts * length]].reshape(count, length).any(1)
        maker = self._maker(name, mine)
        indices = choose(self._rule, self._choice(maker, count, len(ours), scores), avoid)
        self._bundles[ours] = theirs[indices // parts]
        self._parts[ours] = np.stack([indices % parts, np.full(len(indices), parts)], axis=1)
        self._add(maker, count, len(ours), our_size // len(ours), indices)

    def _choose_inside(self, name: str, axis: int, bundle: int, mine: Numbers, other: Numbers) -> None:
        """Elements of one bundle: all of them, or, in a group of a convolution, as many as the student has."""
        part, parts = self._parts[bundle]
        length = len(other) // parts
        other = other[part * length : (part + 1) * length] if parts > 1 else other
        if len(mine) == len(other):
            self.elements[mine] = other
            return
        if self._student.whole[bundle] or self._teacher.whole[self._bundles[bundle]]:
            raise ValueError(
                f"{name}: axis {axis} is taken in whole bundles (attention heads, for instance), but one has "
                f"{len(other)} elements in the teacher and {len(mine)} in the student; choose a pair with bundles of "
                "one size"
            )
        if len(mine) > len(other):
            raise ValueError(
                f"{name}: a group has {len(mine)} elements along axis {axis} in the student and {len(other)} in the "
                "teacher; choose a student with narrower groups"
            )
        scores = self._scores[other] if len(self._scores) else np.zeros(0)
        choice = self._choice(_layer(name), len(other), len(mine), scores)
        self.elements[mine] = other[choose(self._rule, choice, self._avoid.elements[other])]


def _wider(ours: int, theirs: int, axis: int) -> str:
    return (
        f"the student is wider than the teacher ({ours} > {theirs} along axis {axis}); choose a narrower student or a "
        "larger teacher"
    )


def _in_order(numbers: NDArray) -> NDArray:
    """The distinct numbers, in the order of their first occurrence."""
    flat = numbers.ravel()
    _, first = np.unique(flat, return_index=True)
    ordered: NDArray = flat[np.sort(first)]
    return ordered


def _layer(name: str) -> str:
    """The layer that a tensor belongs to, or the tensor itself where it is no layer's weight or bias."""
    layer, _, tensor = name.rpartition(".")
    return layer if tensor in ("weight", "bias") else name


def _free_name(name: str, names: Iterable[str]) -> str:
    number, found = 1, name
    while found in names:
        number += 1
        found = f"{name} ({number})"
    return found


def positions(ours: Numbers, theirs: Numbers) -> Numbers:
    """Where along the teacher's axis the student's elements are; an element's k-th occurrence is at its k-th there.

    Args:
        ours: the teacher's elements that are wanted ``(n,)``.
        theirs: the elements along the teacher's axis ``(m,)``.

    Raises:
        LookupError: if an element is not there, or not as often.
    """
    order = np.argsort(theirs, kind="stable")
    ranked = theirs[order]
    places = np.searchsorted(ranked, ours) + _occurrence(ours)
    if len(places) and (places.max() >= len(ranked) or not np.array_equal(ranked[places], ours)):
        raise LookupError("an element of the student is not along the teacher's axis")
    return order[places]


def _occurrence(numbers: Numbers) -> Numbers:
    """For each number how often it came before."""
    order = np.argsort(numbers, kind="stable")
    ranked = numbers[order]
    found = np.empty(len(numbers), dtype=np.int64)
    found[order] = np.arange(len(numbers)) - np.searchsorted(ranked, ranked)
    return found
