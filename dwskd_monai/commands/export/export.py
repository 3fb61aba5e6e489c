"""Writes a deployed network in another format, if it gives the same results."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.commands.export.formats import FORMATS
from dwskd_monai.commands.export.metadata import network_description
from dwskd_monai.evaluation.measuring import Measured
from dwskd_monai.files import replacing

TOLERANCE = 1e-4


class ParityError(ValueError):
    """An exported network gives other results than the network it was made from."""


@dataclass(frozen=True)
class Exported:
    """What was written, and how it compares with the network.

    Args:
        file: the network.
        difference: largest absolute difference from eager PyTorch, of a logit of a network, or of a probability of a
            classifier.
        images: number of images that were compared.
        metrics: those of float32 and int8 on labeled studies, if the network was quantized.
        costs: int8 less float32 by metric, with a 95 % interval; words where there is too little to say.
        of: what the difference is one of.
    """

    file: Path
    difference: float
    images: int
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    costs: Mapping[str, Measured] = field(default_factory=dict)
    of: str = "logit"


def export_network(trained: TrainedBundle, form: str, images: Tensor, out: Path | None = None) -> Exported:
    """Write a bundle's network in another format, with its description, for any batch size.

    Args:
        trained: the bundle with its network.
        form: one of ``FORMATS``.
        images: slices ``(N, C, H, W)`` with N >= 2, on which the written network is compared with PyTorch.
        out: the file; beside the weights by default.

    Raises:
        ParityError: if a logit differs by more than ``TOLERANCE``; nothing is written then.
        ValueError: if a library is missing; the message names it.
    """
    kind = FORMATS[form]
    out = trained.models / f"{kind.name}{kind.suffix}" if out is None else out
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"model{kind.suffix}"
        kind.write(trained.network, images[:2], written, network_description(trained))
        difference = kind.largest_difference(written, trained.network, images)
        if difference > TOLERANCE:
            raise ParityError(
                f"{form}: its logits differ by up to {difference:.2g} from PyTorch's on {len(images)} images, more "
                f"than {TOLERANCE:g}; nothing was written"
            )
        with replacing(out) as temporary:
            shutil.copyfile(written, temporary)
    return Exported(out, difference, len(images))
