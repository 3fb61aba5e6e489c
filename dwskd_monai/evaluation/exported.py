"""Exported networks as modules, so that they are evaluated like any other network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.data.torchscript_utils import load_net_with_metadata
from monai.utils import optional_import
from torch import Tensor, nn

Runner = Callable[[Tensor], Tensor]
INPUT = "image"
OUTPUT = "logits"
DESCRIPTION = "description.json"  # a file inside an exported program
_MISSING = "{name} is not installed; pip install 'dwskd_monai[export]'"


def library(name: str) -> Any:
    """A library of the extra ``export``; raises ValueError if it is not installed."""
    module, is_installed = optional_import(name)
    if not is_installed:
        raise ValueError(_MISSING.format(name=name.split(".")[0]))
    return module


def read_onnx(path: Path) -> Runner:
    """A network that ONNX Runtime runs on the CPU; that of a classifier is taken out of it."""
    runtime = library("onnxruntime")
    model = library("onnx").load(path)
    network = model if any(value.name == INPUT for value in model.graph.input) else network_in(model, path)
    session = runtime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


def network_in(classifier: Any, path: Path) -> Any:
    """The network's ONNX model, taken out of a classifier's, which runs it in a loop over slices.

    Args:
        classifier: the model.
        path: its file, for messages.

    Raises:
        ValueError: if there is no network in it.
    """
    onnx = library("onnx")
    loops = [node for node in classifier.graph.node if node.op_type == "Scan"]
    bodies = [attribute.g for loop in loops for attribute in loop.attribute if attribute.name == "body"]
    body = next((graph for graph in bodies if any(OUTPUT in node.output for node in graph.node)), None)
    if body is None:
        raise ValueError(f"exported: {path} has neither an input {INPUT!r} nor a network inside; export it again")
    alone = onnx.helper.make_model(body, opset_imports=classifier.opset_import, ir_version=classifier.ir_version)
    return library("onnx.utils").Extractor(alone).extract_model([INPUT], [OUTPUT])


def read_torchscript(path: Path) -> Runner:
    """A network that torch.jit runs."""
    network = torch.jit.load(path, map_location="cpu")
    return lambda images: network(images)


def read_exported_program(path: Path) -> Runner:
    """A network that ``torch.export`` saved."""
    module = torch.export.load(path).module()
    return lambda images: module(images)


def describe_onnx(path: Path) -> dict[str, str]:
    """The ``metadata_props`` of an ONNX file."""
    return {prop.key: prop.value for prop in library("onnx").load(path).metadata_props}


def describe_torchscript(path: Path) -> dict[str, str]:
    """The metadata of a TorchScript file."""
    return {key: json.dumps(value) for key, value in load_net_with_metadata(str(path))[1].items()}


def describe_exported_program(path: Path) -> dict[str, str]:
    """The extra file of an exported program."""
    extra = {DESCRIPTION: ""}
    torch.export.load(path, extra_files=extra)
    content: dict[str, str] = json.loads(extra[DESCRIPTION])
    return content


READERS = {".onnx": read_onnx, ".ts": read_torchscript, ".pt2": read_exported_program}
DESCRIPTIONS = {".onnx": describe_onnx, ".ts": describe_torchscript, ".pt2": describe_exported_program}


def weights_of(path: Path) -> str | None:
    """Digest of the weights that a file was exported from; None if it does not say."""
    sha256: str | None = json.loads(DESCRIPTIONS[path.suffix](path).get("weights_sha256", "null"))
    return sha256


def has_evidence(path: Path, evidence: Mapping[str, Any]) -> bool:
    """Whether a file was exported with this evidence; another may have been fitted since."""
    kept = json.loads(DESCRIPTIONS[path.suffix](path).get("evidence", "{}"))
    return bool(kept == json.loads(json.dumps(dict(evidence))))


class ExportedNetwork(nn.Module):
    """A network in a file of ``python -m dwskd_monai export``, in place of the timm network in a config.

    The parameters are in the file, not in this module. It runs on the CPU, wherever its input is.

    Args:
        path: the file; its suffix gives the format: ``.onnx``, ``.ts`` (TorchScript) or ``.pt2`` (exported program).
        weights_sha256: digest of the weights that it must have been exported from; None: any.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the suffix is another one, the library that runs the format is not installed, or the file was
            exported from other weights.
    """

    def __init__(self, path: str | Path, weights_sha256: str | None = None) -> None:
        super().__init__()
        file = Path(path).expanduser()
        if file.suffix not in READERS:
            raise ValueError(f"exported: expected a file that ends in {', '.join(READERS)}, got {file}")
        if not file.is_file():
            raise FileNotFoundError(f"exported: {file} does not exist; python -m dwskd_monai export writes it")
        if weights_sha256 is not None and weights_of(file) != weights_sha256:
            raise ValueError(f"exported: {file} was not exported from the weights of the bundle; export it again")
        self._run = READERS[file.suffix](file)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)`` of images ``(B, C, H, W)``."""
        return self._run(images.cpu()).to(images.device)
