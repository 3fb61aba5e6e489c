"""Writes a deployed network in another format, if it gives the same results."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.commands.export.description import description
from dwskd_monai.commands.export.formats import FORMATS
from dwskd_monai.commands.export.quantize import quantize_and_measure
from dwskd_monai.commands.export.studies import labeled_slices, phantom_slices
from dwskd_monai.evaluation.exported import Runner
from dwskd_monai.files import replacing

TOLERANCE = 1e-4
_IMAGES = 32  # number of images that are compared


class ParityError(ValueError):
    """An exported network gives other results than the network it was made from."""


@dataclass(frozen=True)
class Exported:
    """What was written, and how it compares with the network.

    Args:
        file: the network.
        difference: largest absolute difference of a logit from that of eager PyTorch.
        images: number of images that were compared.
        metrics: those of float32 and int8 on labeled studies, if the network was quantized.
    """

    file: Path
    difference: float
    images: int
    metrics: Mapping[str, Mapping[str, float]]


def export_network(
    trained: TrainedBundle,
    form: str,
    out: Path | None = None,
    dataset_dir: Path | None = None,
    split: str = "validation",
    int8: bool = False,
) -> Exported:
    """Write a bundle's network in another format, with its description, for any batch size.

    Args:
        trained: the bundle with its network.
        form, out, dataset_dir, split, int8: as the options of the command; ``form`` is its ``format``.

    Raises:
        ParityError: if a logit differs by more than ``TOLERANCE``; nothing is written then. (For int8, the accuracy is
            measured instead.)
        FileNotFoundError, ValueError: for bad input, or a missing library; the message names it.
    """
    if dataset_dir is None:
        images = phantom_slices(trained.bundle, _IMAGES)
    else:
        images = labeled_slices(trained.bundle, dataset_dir, split, _IMAGES)
    if len(images) == 1:
        images = torch.cat([images, images.flip(-1)])  # a batch, so that its size may become free
    kind = FORMATS[form]
    out = trained.models / f"model{'_int8' if int8 else ''}{kind.suffix}" if out is None else out
    metrics: Mapping[str, Mapping[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"model{kind.suffix}"
        kind.write(trained.network, images[:2], written, description(trained))
        difference = largest_difference(trained.network, kind.read(written), images)
        if difference > TOLERANCE:
            raise ParityError(
                f"{form}: its logits differ by up to {difference:.2g} from PyTorch's on {len(images)} images, more "
                f"than {TOLERANCE:g}; nothing was written"
            )
        if int8:
            assert dataset_dir is not None
            quantized = written.with_name("quantized.onnx")
            metrics = quantize_and_measure(trained.bundle, written, quantized, dataset_dir, split)
            difference = largest_difference(trained.network, kind.read(quantized), images)
            written = quantized
        with replacing(out) as temporary:
            shutil.copyfile(written, temporary)
    return Exported(out, difference, len(images), metrics)


@torch.inference_mode()
def largest_difference(network: nn.Module, exported: Runner, images: Tensor) -> float:
    """The largest difference between the logits of both networks, for images one by one and as a batch."""
    together = [images, *images.split(1)]
    return max(float((network(batch) - exported(batch)).abs().max()) for batch in together)
