"""In ONNX what ``evaluation.novelty`` does: how unlike the training images a slice is."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from dwskd_monai.commands.export.graph.building import DOUBLE, constant
from dwskd_monai.evaluation import novelty

if TYPE_CHECKING:
    from onnx_ir import Value
    from onnxscript import OpBuilder


def looks(op: OpBuilder, image: Value, side: int) -> Value:
    """What one slice ``(1, C, side, side)``, as the network gets it, looks like: numbers ``(D,)``.

    See ``novelty.describe_slices``.
    """
    levels = [(image, side)]
    while len(levels) < novelty.LEVELS and levels[-1][1] >= 2 * novelty.SMALLEST:
        pixels, length = levels[-1]
        levels.append((op.AveragePool(pixels, kernel_shape=[2, 2], strides=[2, 2]), length // 2))
    coarse = levels[min(novelty.LAYOUT_LEVEL, len(levels) - 1)]
    parts = [_cells(op, *coarse), _quantiles(op, *coarse), *(_detail(op, *level) for level in levels)]
    return op.Reshape(op.Concat(*parts, axis=2), [-1])


def _cells(op: OpBuilder, pixels: Value, length: int) -> Value:
    """The means of 3 × 3 cells: ``(1, C, 9)``."""
    starts = np.arange(novelty.CELLS + 1) * length // novelty.CELLS
    means = np.zeros((novelty.CELLS, length), np.float32)
    for cell, (start, end) in enumerate(itertools.pairwise(starts)):
        means[cell, start:end] = 1 / (end - start)
    cells = op.MatMul(op.MatMul(constant(op, means), pixels), constant(op, means.T))
    return op.Reshape(cells, [0, 0, -1])


def _quantiles(op: OpBuilder, pixels: Value, length: int) -> Value:
    """``(1, C, 7)``."""
    count = length * length
    grays, _ = op.TopK(op.Reshape(pixels, [0, 0, -1]), [count], largest=0, sorted=1, _outputs=2)
    return op.Gather(grays, constant(op, novelty.quantile_places(count)), axis=2)


def _detail(op: OpBuilder, pixels: Value, length: int) -> Value:
    """``(1, C, 3)``."""
    step = novelty.row_step(length)
    rows, next_rows, third_rows = (op.Slice(pixels, [first], [length - 2 + first], [2], [step]) for first in range(3))
    along_row = _differences(op, rows, length)
    along_column = op.Sub(next_rows, rows)
    second_in_row = _differences(op, along_row, length - 1)
    second_in_column = op.Sub(op.Sub(third_rows, next_rows), along_column)
    means = [
        op.ReduceMean(op.Abs(each), [2, 3], keepdims=0)
        for each in (along_row, along_column, second_in_row, second_in_column)
    ]
    detail = [op.Unsqueeze(each, [2]) for each in (means[0], means[1], op.Add(means[2], means[3]))]
    return op.Log(op.Add(op.Concat(*detail, axis=2), novelty.FLAT))


def _differences(op: OpBuilder, pixels: Value, length: int) -> Value:
    """Between neighbors in a row."""
    return op.Sub(op.Slice(pixels, [1], [length], [3]), op.Slice(pixels, [0], [length - 1], [3]))


def scores(op: OpBuilder, descriptions: Value, fitted: novelty.Novelty) -> Value:
    """Scores ``(N,)`` of descriptions ``(N, D)``, as doubles; see ``Novelty.of_descriptions``."""
    differences = op.Sub(op.Cast(descriptions, to=DOUBLE), constant(op, fitted.center))
    whitened = op.MatMul(differences, constant(op, fitted.whitening.T))
    return op.Sqrt(op.ReduceMean(op.Mul(whitened, whitened), [1], keepdims=0))
