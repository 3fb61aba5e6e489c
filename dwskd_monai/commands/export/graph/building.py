"""What all modules here need to write a graph: the numbers of ONNX's types, and a loop over slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.exported import library

if TYPE_CHECKING:
    from onnx_ir import Value
    from onnxscript import GraphBuilder, OpBuilder

FLOAT = 1
INT64 = 7
BOOL = 9
DOUBLE = 11


def new_builder(opsets: Mapping[str, int]) -> GraphBuilder:
    """A builder of an empty graph."""
    graph = library("onnx_ir").Graph([], [], nodes=[], opset_imports=dict(opsets), name="classifier")
    return library("onnxscript").GraphBuilder(graph)


def finished(builder: GraphBuilder, ir_version: int) -> Any:
    """The ONNX model; no name is used twice in it, not even in a loop."""
    model = library("onnx_ir").Model(builder.graph, ir_version=ir_version, producer_name="dwskd_monai")
    return library("onnx_ir").to_proto(library("onnx_ir.passes.common").NameFixPass()(model).model)


def tensor_input(builder: GraphBuilder, name: str, kind: int, shape: Sequence[int | str]) -> Value:
    """A new input of the graph."""
    return builder.input(name, library("onnx_ir").DataType(kind), shape)


def constant(op: OpBuilder, values: NDArray[np.generic]) -> Value:
    """An array in the graph; numbers and lists need no call, they take the type that the operation asks for."""
    return op.Constant(value=library("onnx_ir").tensor(np.ascontiguousarray(values)))


def for_each_slice(
    builder: GraphBuilder, slices: Value, body: Callable[..., Any], outputs: Sequence[str]
) -> Sequence[Value]:
    """What a function writes for one slice, for each of them; the results are stacked.

    Slices go one by one, through the network too: on the CPU this takes no longer than batches, and the memory does not
    grow with their number.

    Args:
        builder: of the graph.
        slices: ``(D, …)`` in float32.
        body: takes the builder of the loop's graph and one slice; gives as many values as there are ``outputs``.
        outputs: names of the results.
    """
    ir = library("onnx_ir")
    one = ir.val(f"{outputs[0]}_of", dtype=ir.DataType.FLOAT, shape=slices.shape[1:] if slices.shape else None)
    results = [ir.val(f"{name}_of_slice") for name in outputs]
    graph = builder.subgraph(body, [one], results, name=f"{outputs[0]}_of_slice")
    stacked = builder.op.Scan(slices, body=graph, num_scan_inputs=1, _outputs=list(outputs))
    return stacked if isinstance(stacked, Sequence) else [stacked]
