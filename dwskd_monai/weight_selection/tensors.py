"""Which part of a tensor of the teacher is taken for a tensor of the student."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from dwskd_monai.weight_selection.coupling import Numbers


@dataclass(frozen=True)
class TensorSelection:
    """One tensor of the student, and where its values are in the teacher.

    Args:
        name: name in the student's state dict.
        source: name in the teacher's state dict; None for a new tensor.
        shape: shape in the student.
        source_shape: shape in the teacher; None for a new tensor.
        steps: what is done to the teacher's tensor, in no particular order: ``selected``, ``copied``,
            ``resampled`` (positions), ``adapted`` (input convolution), ``reshaped`` (linear layer and 1x1 convolution),
            ``rescaled`` (for lost inputs); or why the student's values are kept: ``new`` (classifier), ``unused`` (of
            another shape, but without a part in the forward pass of either network).
        positions: for each axis of the teacher's tensor, the positions that are taken ``(n,)``; None for the whole
            axis. The inputs of a grouped convolution can differ between outputs ``(outputs, n)``.
    """

    name: str
    source: str | None
    shape: tuple[int, ...]
    source_shape: tuple[int, ...] | None
    steps: tuple[str, ...]
    positions: tuple[Numbers | None, ...] = field(default=(), repr=False)

    def count(self) -> int:
        """How many values of the teacher's tensor are taken."""
        if self.source_shape is None:
            return 0
        return prod(
            length if part is None else part.shape[-1]
            for length, part in zip(self.source_shape, self.positions, strict=True)
        )

    def shared(self, other: TensorSelection) -> int:
        """How many values of the teacher's tensor are taken by both this tensor and that of another student."""
        if self.source_shape is None or self.source != other.source:
            return 0
        if any(part is not None and part.ndim > 1 for part in (*self.positions, *other.positions)):
            return self._shared_rows(other)
        pairs = zip(self.source_shape, self.positions, other.positions, strict=True)
        return prod(_common(length, part, other_part) for length, part, other_part in pairs)

    def _shared_rows(self, other: TensorSelection) -> int:
        """:meth:`shared` of the weight of a grouped convolution, output by output."""
        assert self.source_shape is not None
        inputs = _inputs_by_output(self, self.source_shape)
        other_inputs = _inputs_by_output(other, self.source_shape)
        common = sum(len(inputs[output] & other_inputs[output]) for output in inputs.keys() & other_inputs.keys())
        return common * prod(self.source_shape[2:])

    def as_json(self) -> dict[str, Any]:
        """Everything but the positions.

        They follow from the dimensions, except inside the groups of a convolution that are thinned out.
        """
        shapes = {"shape": list(self.shape), "source_shape": self.source_shape and list(self.source_shape)}
        return {"name": self.name, "source": self.source, **shapes, "rules": list(self.steps)}


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
    outputs = np.arange(shape[0]) if selection.positions[0] is None else selection.positions[0]
    inputs = np.arange(shape[1]) if selection.positions[1] is None else selection.positions[1]
    by_output = np.broadcast_to(inputs, (len(outputs), inputs.shape[-1]))
    return {int(output): set(each.tolist()) for output, each in zip(outputs, by_output, strict=True)}
