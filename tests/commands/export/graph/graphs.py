"""Small graphs of the exported classifier, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from dwskd_monai.commands.export.graph.building import FLOAT, finished, new_builder, tensor_input

Run = Callable[..., list[NDArray[Any]]]


def session_of(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """The model, checked and loaded."""
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run_graph(write: Callable[[Any], dict[str, Any]], **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What a function writes, run on inputs that it declares: it takes a builder, and gives outputs by their names."""
    builder = new_builder({"": 20})
    outputs = write(builder)
    for name, value in outputs.items():
        builder.add_output(value, name)
    session = session_of(finished(builder, 10))
    given = {value.name for value in session.get_inputs()}
    results = session.run(list(outputs), {name: value for name, value in inputs.items() if name in given})
    return dict(zip(outputs, results, strict=True))


def run_on(write: Callable[[Any, Any], Any], values: NDArray[Any], shape: list[int | str]) -> NDArray[Any]:
    """What a function writes for one float32 input: it takes the operations and the input, and gives one output."""

    def written(builder: Any) -> dict[str, Any]:
        return {"result": write(builder.op, tensor_input(builder, "given", FLOAT, shape))}

    return run_graph(written, given=values.astype(np.float32))["result"]
