"""The command ``export``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def export(
    bundle: str,
    format: str = "onnx",
    out: str | None = None,
    dataset_dir: str | None = None,
    split: str = "validation",
    int8: bool = False,
    **overrides: Any,
) -> None:
    """Write a bundle's classifier as one ONNX file, or its network in another format: ``export BUNDLE``.

    The file is first compared with the bundle on images. If a probability, or a logit of a network, differs by more
    than 0.0001, nothing is written.

    Args:
        bundle: folder of the bundle.
        format: onnx, the classifier from stored pixels to probabilities; or the network alone, from prepared slices to
            logits, as onnx_network, torchscript or exported_program.
        out: the file; beside model.pt by default.
        dataset_dir: labeled images for the comparison, and for calibrating and measuring int8; by default a
            synthetic study, which a bundle made by create has only for chest_xray, lung_ct or brain_mri.
        split: of dataset_dir: validation, test or all.
        int8: quantize the network to 8 bits, for onnx.
        overrides: keys of the configs, such as --checkpoint FILE or --ckpt_dir DIR for weights other than
            models/model.pt.
    """
    from dwskd_monai.bundle.bundle import Bundle
    from dwskd_monai.bundle.trained import TrainedBundle
    from dwskd_monai.commands.export.classifier import FORMAT, export_classifier, prepared_images
    from dwskd_monai.commands.export.export import export_network
    from dwskd_monai.commands.export.formats import FORMATS
    from dwskd_monai.commands.export.quantize import export_int8
    from dwskd_monai.commands.export.studies import comparison_items, comparison_slices
    from dwskd_monai.evaluation.metrics import label_of

    if format not in (FORMAT, *FORMATS):
        raise ValueError(f"format must be one of {', '.join((FORMAT, *FORMATS))}; got {format!r}")
    if int8 and (format != FORMAT or dataset_dir is None):
        raise ValueError(
            "int8 needs --format onnx, and --dataset_dir with labeled images: training images calibrate it, and the "
            f"loss of accuracy is measured; got format={format}, dataset_dir={dataset_dir}"
        )
    given = Bundle(bundle, overrides)
    given.refuse_unknown_overrides("export", "inference", "train")
    trained = TrainedBundle(given)
    file = None if out is None else Path(out)
    labeled = None if dataset_dir is None else Path(dataset_dir)
    if format != FORMAT:
        result = export_network(trained, format, comparison_slices(given, labeled, split), file)
    else:
        with comparison_items(given, labeled, split) as items:
            images = prepared_images(trained, items)
            if int8 and labeled is not None:
                result = export_int8(trained, images, labeled, split, file)
            else:
                result = export_classifier(trained, images, file)
    for name, metrics in result.metrics.items():
        shown = ", ".join(f"{label_of(metric)} {value:.4g}" for metric, value in metrics.items())
        sys.stdout.write(f"{name}: {shown}\n")
    for metric, cost in result.costs.items():
        sys.stdout.write(f"int8 less float32, {label_of(metric)}: {shown_cost(cost)}\n")
    sys.stdout.write(
        f"largest difference of a {result.of} on {result.images} images: {result.difference:.2g}\n{result.file}\n"
    )


def shown_cost(cost: Any) -> str:
    """A difference with its interval."""
    if isinstance(cost, str):
        return cost
    if cost["low"] is None:
        return f"{cost['value']:+.4f} ({cost['reason']}; n = {cost['n']})"
    return f"{cost['value']:+.4f} ({cost['low']:+.4f} to {cost['high']:+.4f}; n = {cost['n']})"
