"""What a weight selection took from where, and how much of the teacher it covers."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod


@dataclass(frozen=True)
class TensorSelection:
    """One tensor of the student.

    Args:
        name: name in the student's state dict.
        source: name in the teacher's state dict; None for a new tensor.
        shape: shape in the student.
        source_shape: shape in the teacher; None for a new tensor.
        rules: what was done, in order: ``selected``, ``copied``, ``resampled`` (position embedding), ``adapted``
            (input convolution), ``reshaped`` (linear layer and 1x1 convolution), ``new`` (classifier).
        dimensions: per axis of the teacher's tensor, the coupled dimension that was subset, or None where the whole
            axis was taken. The indices of a dimension are in :attr:`SelectionReport.indices`.
        taken: per axis of the teacher's tensor, the elements taken; None for the whole axis.
    """

    name: str
    source: str | None
    shape: tuple[int, ...]
    source_shape: tuple[int, ...] | None
    rules: tuple[str, ...]
    dimensions: tuple[str | None, ...] = ()
    taken: tuple[tuple[int, ...] | None, ...] = ()

    def count(self) -> int:
        """Number of elements of the teacher's tensor that were used."""
        if self.source_shape is None:
            return 0
        return prod(
            length if taken is None else len(taken) for length, taken in zip(self.source_shape, self.taken, strict=True)
        )

    def shared(self, other: TensorSelection) -> int:
        """Number of elements of the teacher's tensor that both selections used."""
        if self.source_shape is None or self.source != other.source:
            return 0
        common = 1
        for length, mine, theirs in zip(self.source_shape, self.taken, other.taken, strict=True):
            everything = range(length)
            common *= len(set(everything if mine is None else mine) & set(everything if theirs is None else theirs))
        return common


@dataclass(frozen=True)
class SelectionReport:
    """What one student took from the teacher.

    Args:
        family: name of the family.
        layers: layer selection rule.
        elements: element selection rule.
        tensors: one entry for each tensor of the student, in the order of its state dict.
        indices: per coupled dimension, the teacher's elements in the order of the student.
        blocks: per stage, the teacher's blocks in the order of the student.
        teacher_elements: number of elements of the teacher, without its classifier.
    """

    family: str
    layers: str
    elements: str
    tensors: tuple[TensorSelection, ...]
    indices: dict[str, tuple[int, ...]] = field(repr=False)
    blocks: dict[str, tuple[int, ...]]
    teacher_elements: int

    @property
    def coverage(self) -> float:
        """Share of the teacher's elements that the student took."""
        return sum(tensor.count() for tensor in self.tensors) / self.teacher_elements

    def __str__(self) -> str:
        selected = sum(tensor.source is not None for tensor in self.tensors)
        new = [tensor.name for tensor in self.tensors if tensor.source is None]
        return (
            f"{self.family}: {selected} tensors from the teacher ({self.layers} layers, {self.elements} elements), "
            f"new: {', '.join(new) or 'none'}, coverage of the teacher {self.coverage:.1%}"
        )


@dataclass(frozen=True)
class PairReport:
    """What two students took from one teacher."""

    main: SelectionReport
    auxiliary: SelectionReport

    @property
    def overlap(self) -> float:
        """Share of the teacher's elements that both students took."""
        theirs = {tensor.source: tensor for tensor in self.auxiliary.tensors if tensor.source is not None}
        shared = sum(tensor.shared(theirs[tensor.source]) for tensor in self.main.tensors if tensor.source in theirs)
        return shared / self.main.teacher_elements

    @property
    def coverage(self) -> float:
        """Share of the teacher's elements that at least one of the students took."""
        return self.main.coverage + self.auxiliary.coverage - self.overlap

    def __str__(self) -> str:
        return (
            f"main {self.main}; auxiliary coverage {self.auxiliary.coverage:.1%}; "
            f"both {self.coverage:.1%}, overlap {self.overlap:.2%}"
        )
