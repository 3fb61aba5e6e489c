"""The whole graph: a network, with all that is done before and after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dwskd_monai.commands.export.graph import answers, novelty
from dwskd_monai.commands.export.graph.building import FLOAT, finished, for_each_slice, new_builder
from dwskd_monai.commands.export.graph.preparation import Prepared, prepare
from dwskd_monai.commands.export.graph.steps import Steps
from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.exported import INPUT, OUTPUT, library
from dwskd_monai.runtime import names

if TYPE_CHECKING:
    from onnx_ir import Model, Value
    from onnxscript import GraphBuilder, OpBuilder


@dataclass(frozen=True)
class Decisions:
    """What becomes of the network's logits.

    Args:
        classes: their names, in the order of the logits.
        aggregation: turns the probabilities of the slices into those of the study.
        evidence: what the training fitted.
    """

    classes: Sequence[str]
    aggregation: Aggregation
    evidence: Evidence


def classifier(network: Any, steps: Steps, decisions: Decisions) -> Any:
    """An ONNX model from the stored numbers of an image to what is said of it.

    :mod:`dwskd_monai.runtime.names` has its inputs and outputs.

    Args:
        network: ONNX model from slices ``(B, C, side, side)`` to logits ``(B, K)``.
        steps: the preprocessing.
        decisions: what follows the network.
    """
    model = library("onnx_ir").from_proto(network)
    builder = new_builder(model.opset_imports)
    with_looks = decisions.evidence.novelty is not None
    logits, *descriptions = _through_network(builder, model, prepare(builder, steps), with_looks)
    for name, value in _said(builder.op, logits, descriptions, decisions).items():
        builder.add_output(value, name)
    return finished(builder, model.ir_version)


def _through_network(builder: GraphBuilder, model: Model, prepared: Prepared, with_looks: bool) -> Sequence[Value]:
    """Logits ``(D, K)`` of the slices, and, if asked for, what they look like, ``(D, N)``."""

    def of_slice(op: OpBuilder, one: Value) -> list[Value]:
        image = prepared.image(op, one)
        looks = [novelty.looks(op, image, prepared.steps.image_size)] if with_looks else []
        return [op.Squeeze(_put_in(op, model, image), [0]), *looks]

    outputs = ["slice_logits", "descriptions"] if with_looks else ["slice_logits"]
    return for_each_slice(builder, prepared.slices, of_slice, outputs)


def _put_in(op: OpBuilder, model: Model, image: Value) -> Value:
    """Move the nodes and weights of a network into the graph of ``op``.

    The weights move, too: inside the loop ONNX Runtime rearranges them for speed, outside it does not.
    """
    ir = library("onnx_ir")
    source, target = model.graph, op.builder.graph
    (given,), (logits,) = source.inputs, source.outputs
    image.name, image.type, image.shape = INPUT, given.type, given.shape
    ir.convenience.replace_all_uses_with(given, image)
    for name, weights in list(source.initializers.items()):
        del source.initializers[name]
        target.register_initializer(weights)
    nodes = list(source)
    source.outputs.clear()
    source.remove(nodes)
    target.extend(nodes)
    logits.name = OUTPUT
    return logits


def _said(op: OpBuilder, logits: Value, descriptions: Sequence[Value], decisions: Decisions) -> dict[str, Value]:
    """The outputs, by their names."""
    evidence, classes = decisions.evidence, decisions.classes
    slices = answers.probabilities(op, logits)
    study = answers.calibrated(op, answers.aggregated(op, slices, decisions.aggregation), evidence.temperature)
    said = {
        names.PROBABILITIES: op.Cast(study, to=FLOAT),
        names.SLICE_PROBABILITIES: op.Cast(slices, to=FLOAT),
        names.AT_OPERATING_POINT: answers.reached(op, study, evidence.operating_points, classes, np.inf),
        names.PREDICTION_SET: answers.reached(op, study, evidence.set_thresholds, classes, 0.0),
    }
    if evidence.novelty is None:
        return said
    scores = novelty.scores(op, descriptions[0], evidence.novelty)
    of_study = op.ReduceMean(scores, keepdims=0)
    return said | {names.NOVELTY: op.Cast(of_study, to=FLOAT), names.SLICE_NOVELTY: op.Cast(scores, to=FLOAT)}
