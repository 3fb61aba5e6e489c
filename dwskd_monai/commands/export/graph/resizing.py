"""In ONNX what ``preprocessing.fitting`` and ``preprocessing.resizing`` do: slices that fit a square, by area.

The matrix of weights of an axis is mostly zeros. So the new pixels are computed in bands of eight, each from the few
old ones that it covers: these are gathered, and multiplied by a small matrix. An example with one band of two new
pixels, six old ones and a margin at both ends::

    square       |     0     |     1     |     2     |     3     |
    new cells                |     0     |     1     |             2 = fitted length, 1 = offset
    old cells                | 0 | 1 | 2 | 3 | 4 | 5 |

The margin has weights of zero, so the square is filled in the same product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dwskd_monai.commands.export.graph.building import DOUBLE, FLOAT, INT64, constant

if TYPE_CHECKING:
    from onnx_ir import Value
    from onnxscript import OpBuilder

_BAND = 8  # new pixels that are computed at a time, as in preprocessing.resizing


class Axis(NamedTuple):
    """How an axis is resized to the side of the square.

    Args:
        old: indices ``(B, L)`` of the old pixels of each band.
        weights: their weights ``(B, 8, L)`` in the new pixels.
        inside: ``(side,)``, which new pixels are not margin.
    """

    old: Value
    weights: Value
    inside: Value


def fitted_lengths(op: OpBuilder, pixels: Value, spacing: Value | None, side: int) -> tuple[Value, Value]:
    """Rows and columns of ``pixels`` ``(D, H, W)``, and those that they get: two numbers each.

    Args:
        op: builder of the graph.
        pixels: the image.
        spacing: mm between rows and between columns; None: slices are stretched.
        side: of the square.
    """
    lengths = op.Cast(op.Shape(pixels, start=1, end=3), to=DOUBLE)
    if spacing is None:
        return lengths, constant(op, np.array([side, side], np.float64))
    mm = op.Mul(lengths, spacing)
    sides = op.Mul(mm, op.Div(float(side), op.ReduceMax(mm, keepdims=0)))
    # rounded twice, as in preprocessing.fitting
    rounded = op.Round(op.Div(op.Round(op.Mul(sides, 1000.0)), 1000.0))
    return lengths, op.Max(rounded, 1.0)


def axis(op: OpBuilder, length: Value, new_length: Value, side: int) -> Axis:
    """How an axis of ``length`` gets ``new_length``, in the middle of ``side``; both are ``(1,)``."""
    bands = -(-side // _BAND)
    ratio = op.Div(length, new_length)
    offset = op.Floor(op.Div(op.Sub(float(side), new_length), 2.0))
    places = np.arange(bands * _BAND, dtype=np.float64).reshape(bands, _BAND, 1)
    new = op.Sub(constant(op, places), offset)
    old = _old_pixels(op, op.Sub(constant(op, places[:, :1]), offset), ratio)
    weights = op.Where(op.GreaterOrEqual(ratio, 1.0), _area(op, new, old, ratio), _linear(op, new, old, ratio, length))
    is_new = op.And(op.GreaterOrEqual(new, 0.0), op.Less(new, new_length))
    valid = op.And(is_new, op.Less(old, length))
    return Axis(
        op.Cast(op.Squeeze(op.Min(old, op.Sub(length, 1.0)), [1]), to=INT64),
        op.Cast(op.Where(valid, weights, 0.0), to=FLOAT),
        op.Slice(op.Reshape(is_new, [-1]), [0], [side]),
    )


def _old_pixels(op: OpBuilder, first_new: Value, ratio: Value) -> Value:
    """Numbers ``(B, 1, L)`` of the old pixels that each band may touch, and a few more."""
    first = op.Max(op.Sub(op.Floor(op.Mul(first_new, ratio)), 1.0), 0.0)
    count = op.Add(op.Ceil(op.Mul(ratio, float(_BAND))), 3.0)
    return op.Add(first, op.Range(0.0, op.Squeeze(count, [0]), 1.0))


def _area(op: OpBuilder, new: Value, old: Value, ratio: Value) -> Value:
    """The overlap of each old cell and each new one, over the length of the new one."""
    start = op.Max(op.Mul(new, ratio), old)
    end = op.Min(op.Mul(op.Add(new, 1.0), ratio), op.Add(old, 1.0))
    return op.Div(op.Max(op.Sub(end, start), 0.0), ratio)


def _linear(op: OpBuilder, new: Value, old: Value, ratio: Value, length: Value) -> Value:
    """Linear interpolation between the centers of the two nearest old cells."""
    center = op.Sub(op.Mul(op.Add(new, 0.5), ratio), 0.5)
    center = op.Min(op.Max(center, 0.0), op.Sub(length, 1.0))
    return op.Max(op.Sub(1.0, op.Abs(op.Sub(center, old))), 0.0)


def resized(op: OpBuilder, pixels: Value, rows: Axis, columns: Axis, side: int) -> Value:
    """One slice ``(H, W)`` in the square ``(side, side)``, with zeros around it."""
    with_rows = op.Transpose(_along(op, pixels, rows, side), perm=[1, 0])
    return op.Transpose(_along(op, with_rows, columns, side), perm=[1, 0])


def _along(op: OpBuilder, pixels: Value, axis: Axis, side: int) -> Value:
    """``(length, N)`` becomes ``(side, N)``."""
    bands = op.MatMul(axis.weights, op.Gather(pixels, axis.old, axis=0))
    return op.Slice(op.Reshape(bands, [-(-side // _BAND) * _BAND, -1]), [0], [side])
