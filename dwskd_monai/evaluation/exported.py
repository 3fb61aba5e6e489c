"""Exported networks, run as any network is: so that they are evaluated as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from monai.utils import optional_import
from torch import Tensor, nn

Runner = Callable[[Tensor], Tensor]
INPUT = "image"
OUTPUT = "logits"
_MISSING = "{name} is not installed; pip install 'dwskd_monai[export]'"


def library(name: str) -> Any:
    """A library of the extra ``export``; raises ValueError if it is not installed."""
    module, is_installed = optional_import(name)
    if not is_installed:
        raise ValueError(_MISSING.format(name=name.split(".")[0]))
    return module


def read_onnx(path: Path) -> Runner:
    """By ONNX Runtime on the CPU."""
    runtime = library("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


def read_torchscript(path: Path) -> Runner:
    """By torch.jit."""
    network = torch.jit.load(path, map_location="cpu")
    return lambda images: network(images)


def read_exported_program(path: Path) -> Runner:
    """By ``torch.export``."""
    module = torch.export.load(path).module()
    return lambda images: module(images)


READERS = {".onnx": read_onnx, ".ts": read_torchscript, ".pt2": read_exported_program}


class ExportedNetwork(nn.Module):
    """A network in a file of ``python -m dwskd_monai export``, in place of the timm network in a config.

    It has no parameters of its own: the file has them. It runs on the CPU, wherever its input is.

    Args:
        path: the file; its suffix says which format it has: ``.onnx``, ``.ts`` (TorchScript) or ``.pt2`` (exported
            program).

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: for another suffix, or if the library that runs the format is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        file = Path(path).expanduser()
        if file.suffix not in READERS:
            raise ValueError(f"exported: expected a file that ends in {', '.join(READERS)}, got {file}")
        if not file.is_file():
            raise FileNotFoundError(f"exported: {file} does not exist; python -m dwskd_monai export writes it")
        self._run = READERS[file.suffix](file)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)`` of images ``(B, C, H, W)``."""
        return self._run(images.cpu()).to(images.device)
