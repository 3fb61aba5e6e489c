"""What a weight selection took from where, and how much of the teacher it covers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any

import numpy as np

from dwskd_monai.weight_selection.choosing import Dimension, Taken
from dwskd_monai.weight_selection.coupling import Numbers
from dwskd_monai.weight_selection.rules import Rules


@dataclass(frozen=True)
class TensorSelection:
    """One tensor of the student.

    Args:
        name: name in the student's state dict.
        source: name in the teacher's state dict; None for a new tensor.
        shape: shape in the student.
        source_shape: shape in the teacher; None for a new tensor.
        rules: what was done, in order: ``selected``, ``copied``, ``resampled`` (positions), ``adapted`` (input
            convolution), ``reshaped`` (linear layer and 1x1 convolution), ``rescaled`` (for lost inputs); or why the
            student's values were kept: ``new`` (classifier), ``unused`` (of another shape, but without a part in the
            forward pass of either network).
        taken: per axis of the teacher's tensor, the positions taken ``(n,)``; None for the whole axis. The inputs of a
            grouped convolution can differ between outputs ``(outputs, n)``.
    """

    name: str
    source: str | None
    shape: tuple[int, ...]
    source_shape: tuple[int, ...] | None
    rules: tuple[str, ...]
    taken: tuple[Numbers | None, ...] = field(default=(), repr=False)

    def count(self) -> int:
        """Number of elements of the teacher's tensor that were used."""
        if self.source_shape is None:
            return 0
        return prod(
            length if part is None else part.shape[-1]
            for length, part in zip(self.source_shape, self.taken, strict=True)
        )

    def shared(self, other: TensorSelection) -> int:
        """Number of elements of the teacher's tensor that both this and another student's tensor used."""
        if self.source_shape is None or self.source != other.source:
            return 0
        if any(part is not None and part.ndim > 1 for part in (*self.taken, *other.taken)):
            return self._shared_rows(other)
        pairs = zip(self.source_shape, self.taken, other.taken, strict=True)
        return prod(_common(length, part, other_part) for length, part, other_part in pairs)

    def _shared_rows(self, other: TensorSelection) -> int:
        """:meth:`shared` of the weight of a grouped convolution, output by output."""
        assert self.source_shape is not None
        inputs = _inputs_by_output(self, self.source_shape)
        other_inputs = _inputs_by_output(other, self.source_shape)
        common = sum(len(inputs[output] & other_inputs[output]) for output in inputs.keys() & other_inputs.keys())
        return common * prod(self.source_shape[2:])

    def as_json(self) -> dict[str, Any]:
        """Everything but the positions, which the dimensions tell."""
        shapes = {"shape": list(self.shape), "source_shape": self.source_shape and list(self.source_shape)}
        return {"name": self.name, "source": self.source, **shapes, "rules": list(self.rules)}


def _common(length: int, part: Numbers | None, other_part: Numbers | None) -> int:
    """How many positions of an axis are in both parts; None is the whole axis."""
    if part is None and other_part is None:
        return length
    if part is None:
        part = np.arange(length)
    if other_part is None:
        other_part = np.arange(length)
    return len(np.intersect1d(part, other_part))


def _inputs_by_output(selection: TensorSelection, shape: tuple[int, ...]) -> dict[int, set[int]]:
    """For each output that was taken of a weight ``(outputs, inputs, …)``, the inputs that were."""
    outputs = np.arange(shape[0]) if selection.taken[0] is None else selection.taken[0]
    inputs = np.arange(shape[1]) if selection.taken[1] is None else selection.taken[1]
    by_output = np.broadcast_to(inputs, (len(outputs), inputs.shape[-1]))
    return {int(output): set(each.tolist()) for output, each in zip(outputs, by_output, strict=True)}


@dataclass(frozen=True)
class SelectionReport:
    """What one student took from the teacher.

    Args:
        family: class of both networks.
        rules: how it was chosen.
        tensors: one entry for each tensor of the student, in the order of its state dict.
        dimensions: the index set of each coupled dimension, by the layer that makes it.
        blocks: per stage, the teacher's blocks in the order of the student.
        teacher_elements: number of elements of the teacher, without its classifier.
        taken: for each of the teacher's elements whether the student has it, for the other student to avoid.
    """

    family: str
    rules: Rules
    tensors: tuple[TensorSelection, ...]
    dimensions: dict[str, Dimension] = field(repr=False)
    blocks: Mapping[str, tuple[int, ...]]
    teacher_elements: int
    taken: Taken = field(repr=False)

    @property
    def coverage(self) -> float:
        """Share of the teacher's elements that the student took."""
        return sum(tensor.count() for tensor in self.tensors) / self.teacher_elements

    def rule_counts(self) -> dict[str, int]:
        """How many tensors were selected, copied, …"""
        return dict(Counter(", ".join(tensor.rules) for tensor in self.tensors))

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain numbers, texts, lists and dictionaries."""
        return {
            "family": self.family,
            "rules": asdict(self.rules),
            "coverage": self.coverage,
            "blocks": {stage: list(blocks) for stage, blocks in self.blocks.items()},
            "dimensions": {name: asdict(dimension) for name, dimension in self.dimensions.items()},
            "tensors": [tensor.as_json() for tensor in self.tensors],
        }

    def __str__(self) -> str:
        selected = sum(tensor.source is not None for tensor in self.tensors)
        new = [tensor.name for tensor in self.tensors if tensor.source is None]
        layers = self.rules.layers if isinstance(self.rules.layers, str) else "mapped"
        return (
            f"{self.family}: {selected} tensors from the teacher ({layers} layers, {self.rules.elements} elements), "
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
        by_source = {tensor.source: tensor for tensor in self.auxiliary.tensors if tensor.source is not None}
        shared = sum(
            tensor.shared(by_source[tensor.source]) for tensor in self.main.tensors if tensor.source in by_source
        )
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
