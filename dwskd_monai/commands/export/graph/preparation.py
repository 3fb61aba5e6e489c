"""The first part of the graph: from the stored numbers of an image to the network's input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwskd_monai.commands.export.graph import intensity, resizing
from dwskd_monai.commands.export.graph.building import BOOL, DOUBLE, FLOAT, for_each_slice, tensor_input
from dwskd_monai.commands.export.graph.steps import Steps
from dwskd_monai.runtime import names

if TYPE_CHECKING:
    from onnx_ir import Value
    from onnxscript import GraphBuilder, OpBuilder


@dataclass(frozen=True)
class Prepared:
    """Slices that fit the network's input, and how each of them becomes it.

    Args:
        slices: ``(D, side, side)``, values in the middle of a margin.
        inside: ``(side, side)``, which pixels are not margin.
        scaled: from one slice ``(side, side)`` to channels in [0, 1], ``(C, side, side)``.
        steps: the numbers of the preprocessing.
    """

    slices: Value
    inside: Value
    scaled: Callable[[OpBuilder, Value], Value]
    steps: Steps

    def image(self, op: OpBuilder, one: Value) -> Value:
        """From one slice ``(side, side)`` to the network's input ``(1, C, side, side)``."""
        scaled = self.scaled(op, one)
        normalized = intensity.normalized(op, scaled, self.inside, self.steps.mean, self.steps.std)
        return op.Unsqueeze(normalized, [0])


def prepare(builder: GraphBuilder, steps: Steps) -> Prepared:
    """Write the inputs of the graph, and all that is done before the network.

    Slope and intercept follow the resizing, so that they do not need a copy of the image at full size; since the
    weights of a new pixel add up to 1, this changes nothing.
    """
    op = builder.op
    side = steps.image_size
    pixels = tensor_input(builder, names.PIXELS, FLOAT, ["slices", "rows", "columns"])
    slope = tensor_input(builder, names.SLOPE, FLOAT, ["one_or_slices"])
    intercept = tensor_input(builder, names.INTERCEPT, FLOAT, ["one_or_slices"])
    spacing = tensor_input(builder, names.SPACING, DOUBLE, [2]) if steps.keep_aspect else None
    lengths, new_lengths = resizing.fitted_lengths(op, pixels, spacing, side)
    rows, columns = (
        resizing.axis(op, op.Gather(lengths, [index]), op.Gather(new_lengths, [index]), side) for index in (0, 1)
    )
    inside = op.And(op.Unsqueeze(rows.inside, [1]), columns.inside)

    def resized(inner: OpBuilder, one: Value) -> Value:
        return resizing.resized(inner, one, rows, columns, side)

    (fitted,) = for_each_slice(builder, pixels, resized, ["fitted"])
    if steps.ranges is not None:
        slices = _rescaled(op, fitted, slope, intercept)
        ranges = steps.ranges
        return Prepared(slices, inside, lambda inner, one: intensity.in_ranges(inner, one, ranges), steps)
    sign = op.Where(tensor_input(builder, names.INVERTED, BOOL, []), -1.0, 1.0)
    slices = _rescaled(op, fitted, op.Mul(slope, sign), op.Mul(intercept, sign))
    count = op.Mul(op.Cast(op.Shape(pixels, start=0, end=1), to=DOUBLE), op.ReduceProd(new_lengths, [0]))
    low, high = _percentiles(builder, slices, inside, count, steps)
    return Prepared(slices, inside, lambda inner, one: intensity.in_range(inner, one, low, high), steps)


def _rescaled(op: OpBuilder, fitted: Value, slope: Value, intercept: Value) -> Value:
    per_slice = [-1, 1, 1]
    return op.Add(op.Mul(fitted, op.Reshape(slope, per_slice)), op.Reshape(intercept, per_slice))


def _percentiles(
    builder: GraphBuilder, slices: Value, inside: Value, count: Value, steps: Steps
) -> tuple[Value, Value]:
    assert steps.percentiles is not None
    padding = builder.op.Cast(tensor_input(builder, names.PADDING, FLOAT, []), to=DOUBLE)
    return intensity.percentiles(builder.op, slices, inside, count, steps.percentiles, padding)
