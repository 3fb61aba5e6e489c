"""In ONNX what ``evaluation.aggregation`` and ``evaluation.evidence`` do: from slices to what is said of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwskd_monai.commands.export.graph.building import DOUBLE, constant
from dwskd_monai.evaluation.evidence import SMALLEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnx_ir import Value
    from onnxscript import OpBuilder

    from dwskd_monai.evaluation.aggregation import Aggregation


def probabilities(op: OpBuilder, logits: Value) -> Value:
    """Of slices ``(S, K)``, as doubles."""
    return op.Cast(op.Softmax(logits, axis=1), to=DOUBLE)


def aggregated(op: OpBuilder, slices: Value, aggregation: Aggregation) -> Value:
    """Probabilities ``(K,)`` of a study from those of its slices ``(S, K)``."""
    if aggregation.method == "mean":
        return op.ReduceMean(slices, [0], keepdims=0)
    most = 1 if aggregation.method == "max" else aggregation.k
    count = op.Min(op.Shape(slices, start=0, end=1), [most])
    largest, _ = op.TopK(slices, count, axis=0, _outputs=2)
    means = op.ReduceMean(largest, [0], keepdims=0)
    return op.Div(means, op.ReduceSum(means, keepdims=0))


def calibrated(op: OpBuilder, study: Value, temperature: float) -> Value:
    """Probabilities ``(K,)`` that are divided by a temperature as logits would be; see ``evidence.tempered``."""
    if temperature == 1:
        return study
    return op.Softmax(op.Div(op.Log(op.Max(study, SMALLEST)), temperature), axis=0)


def reached(
    op: OpBuilder, study: Value, thresholds: Mapping[str, float], classes: Sequence[str], otherwise: float
) -> Value:
    """Which classes reach their threshold, ``(K,)``; ``otherwise`` is that of a class without one."""
    limits = np.array([thresholds.get(name, otherwise) for name in classes], np.float64)
    return op.GreaterOrEqual(study, constant(op, limits))
