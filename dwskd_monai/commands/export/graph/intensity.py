"""In ONNX what ``preprocessing.intensity`` does: values of any unit become 0 to 1, and are normalized."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwskd_monai.commands.export.graph.building import DOUBLE, FLOAT, INT64, constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx_ir import Value
    from onnxscript import OpBuilder


def in_ranges(op: OpBuilder, pixels: Value, ranges: Sequence[tuple[float, float]]) -> Value:
    """From a slice ``(side, side)`` to one channel for each range, ``(C, side, side)``; see ``intensity.window``."""
    low, high = (np.array(ends, np.float32).reshape(-1, 1, 1) for ends in zip(*ranges, strict=True))
    return op.Clip(op.Div(op.Sub(pixels, constant(op, low)), constant(op, high - low)), 0.0, 1.0)


def in_range(op: OpBuilder, pixels: Value, low: Value, high: Value) -> Value:
    """From a slice ``(side, side)`` to ``(1, side, side)``; see ``intensity.scale_range``."""
    width = op.Sub(high, low)
    is_flat = op.Equal(width, 0.0)
    scaled = op.Clip(op.Div(op.Sub(pixels, low), op.Where(is_flat, 1.0, width)), 0.0, 1.0)
    return op.Unsqueeze(op.Where(is_flat, 0.0, scaled), [0])


def normalized(op: OpBuilder, scaled: Value, inside: Value, mean: float, std: float) -> Value:
    """``(C, side, side)`` with zeros in the margin, less the mean, over the standard deviation."""
    padded = op.Where(inside, scaled, 0.0)
    return op.Div(op.Sub(padded, mean), std)


def percentiles(
    op: OpBuilder, values: Value, inside: Value, count: Value, ranks: tuple[float, float], padding: Value
) -> tuple[Value, Value]:
    """Two percentiles of an image, as ``numpy.percentile`` interpolates them; see ``intensity.scale_percentiles``.

    Only the tail of each is sorted, so this takes a small part of the time that the network takes.

    Args:
        op: builder of the graph.
        values: ``(D, side, side)``.
        inside: ``(side, side)``, which pixels are not margin.
        count: number ``(1,)`` of the pixels that are not margin, as a double.
        ranks: the two percentiles, in [0, 100].
        padding: share ``(1,)`` of the pixels that are left out, the darkest ones, as a double.
    """
    shares = np.array(ranks, np.float64) / 100
    place = op.Mul(op.Min(op.Add(padding, op.Mul(op.Sub(1.0, padding), constant(op, shares))), 1.0), op.Sub(count, 1.0))
    low, high = op.Split(place, num_outputs=2, _outputs=2)
    return _from_below(op, values, inside, count, low), _from_above(op, values, inside, count, high)


def _from_below(op: OpBuilder, values: Value, inside: Value, count: Value, place: Value) -> Value:
    """The value at a place, which need not be whole, in the order of the values."""
    below = op.Floor(place)
    last = op.Min(op.Add(below, 1.0), op.Sub(count, 1.0))
    all_values = op.Reshape(op.Where(inside, values, float("inf")), [-1])
    smallest, _ = op.TopK(all_values, op.Cast(op.Add(last, 1.0), to=INT64), largest=0, sorted=1, _outputs=2)
    return _between(op, smallest, below, last, op.Sub(place, below))


def _from_above(op: OpBuilder, values: Value, inside: Value, count: Value, place: Value) -> Value:
    """The same, counted from the largest value."""
    below = op.Floor(place)
    index = op.Sub(op.Sub(count, 1.0), below)
    next_index = op.Max(op.Sub(index, 1.0), 0.0)
    all_values = op.Reshape(op.Where(inside, values, -float("inf")), [-1])
    largest, _ = op.TopK(all_values, op.Cast(op.Add(index, 1.0), to=INT64), largest=1, sorted=1, _outputs=2)
    return _between(op, largest, index, next_index, op.Sub(place, below))


def _between(op: OpBuilder, ordered: Value, index: Value, next_index: Value, share: Value) -> Value:
    first, second = (op.Cast(op.Gather(ordered, op.Cast(at, to=INT64)), to=DOUBLE) for at in (index, next_index))
    return op.Cast(op.Add(first, op.Mul(op.Sub(second, first), share)), to=FLOAT)
