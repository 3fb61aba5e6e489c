"""The command ``export``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from dwskd_monai.commands.export.export import export as export_to_file


def export(
    bundle: str,
    format: str = "onnx",
    out: str | None = None,
    models: str | None = None,
    dataset_dir: str | None = None,
    split: str = "validation",
    int8: bool = False,
    **overrides: Any,
) -> None:
    """A bundle's network in another format: ``export BUNDLE --format onnx``.

    It is compared with PyTorch on images first, and not written where a logit differs by more than 0.0001.

    Args:
        bundle: folder of the bundle.
        format: onnx, torchscript or exported_program.
        out: the file; beside model.pt by default.
        models: folder with model.pt; the bundle's models by default.
        dataset_dir: labelled images to compare on, and for int8 to calibrate and measure; without it, a phantom.
        split: of dataset_dir: validation, test or all.
        int8: quantise to 8 bits, for onnx.
        overrides: keys of the configs that the network was trained with, --student NAME for instance.
    """
    folder = Path(bundle)
    paths = [None if path is None else Path(str(path)) for path in (out, models, dataset_dir)]
    result = export_to_file(
        folder,
        format,
        paths[0],
        models=paths[1],
        dataset_dir=paths[2],
        split=split,
        int8=int8,
        overrides=overrides,
    )
    for name, metrics in result.metrics.items():
        shown = ", ".join(f"{metric.replace('_', ' ')} {value:.4g}" for metric, value in metrics.items())
        sys.stdout.write(f"{name}: {shown}\n")
    sys.stdout.write(
        f"largest difference of a logit on {result.images} images: {result.difference:.2g}\n{result.file}\n"
    )
