"""The formats to which a network can be exported, how each is written, and whether it gives the same results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from monai.data.torchscript_utils import save_net_with_metadata
from monai.networks.utils import convert_to_torchscript
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dwskd_monai.evaluation.exported import DESCRIPTION, DESCRIPTIONS, INPUT, OUTPUT, READERS, Runner, library


@dataclass(frozen=True)
class Format:
    """One way to keep a network in a file.

    Args:
        suffix: of the file.
        name: of the file, without its suffix.
        write: takes a network, an input ``(B, C, H, W)`` with B >= 2, the file and its description.
    """

    suffix: str
    name: str
    write: Callable[[nn.Module, Tensor, Path, Mapping[str, str]], None]

    def read(self, path: Path) -> Runner:
        """A file as a function from images to logits."""
        return READERS[self.suffix](path)

    def describe(self, path: Path) -> dict[str, str]:
        """The description that a file holds."""
        return DESCRIPTIONS[self.suffix](path)

    @torch.inference_mode()
    def largest_difference(self, path: Path, network: nn.Module, images: Tensor) -> float:
        """The largest difference of a logit between a file and a network, for images one by one and as a batch."""
        exported = self.read(path)
        together = [images, *images.split(1)]
        return max(float((network(batch) - exported(batch)).abs().max()) for batch in together)


def write_onnx(network: nn.Module, example: Tensor, path: Path, description: Mapping[str, str]) -> None:
    """Write with torch's exporter, for any batch size; the description becomes ``metadata_props``."""
    library("onnxscript")
    onnx = library("onnx")
    # The fast kernel of attention gives strides that the exporter cannot follow if there is a mask, as in BEiT
    with sdpa_kernel(SDPBackend.MATH):
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(description))
    onnx.save(model, path)


def write_torchscript(network: nn.Module, example: Tensor, path: Path, description: Mapping[str, str]) -> None:
    """Script the network and save it as MONAI does: ``monai.data.load_net_with_metadata`` reads it."""
    scripted = convert_to_torchscript(network)
    save_net_with_metadata(
        scripted, str(path), meta_values={key: json.loads(value) for key, value in description.items()}
    )


def write_exported_program(network: nn.Module, example: Tensor, path: Path, description: Mapping[str, str]) -> None:
    """Write with ``torch.export``, for any batch size; the description becomes an extra file."""
    program = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, path, extra_files={DESCRIPTION: json.dumps(dict(description))})


FORMATS = {
    "onnx_network": Format(".onnx", "network", write_onnx),
    "torchscript": Format(".ts", "model", write_torchscript),
    "exported_program": Format(".pt2", "model", write_exported_program),
}
