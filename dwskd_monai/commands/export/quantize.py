"""A classifier as ONNX with its network in int8, by ONNX Runtime's static quantization, and what this costs."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.commands.export.classifier import QUANTIZATION, Compared, slices_of, write_classifier
from dwskd_monai.commands.export.export import Exported, export_network
from dwskd_monai.commands.export.studies import Evaluated, evaluate, labeled_slices
from dwskd_monai.evaluation.exported import INPUT, describe_onnx, library, read_onnx
from dwskd_monai.evaluation.measuring import Measured
from dwskd_monai.evaluation.page.against import against
from dwskd_monai.evaluation.resampling import Resamples

# Largest difference of a probability from the same network in the bundle. A value between two of the 255 steps may be
# rounded to either of them, if it differs by a millionth
_ROUNDING = 0.01
_CALIBRATION = 128  # number of slices on which the ranges of activations are measured


def export_int8(
    trained: TrainedBundle, images: Sequence[Compared], dataset_dir: Path, split: str, out: Path | None = None
) -> Exported:
    """Write a bundle's classifier with its network in int8.

    The network gives other logits, so its accuracy is measured beside that of float32. The classifier must say the same
    as a bundle with this network.

    Args:
        trained: the bundle with its network.
        images: as for :func:`~dwskd_monai.commands.export.classifier.export_classifier`.
        dataset_dir: labeled images, as for training; its training images calibrate the network.
        split: of the studies that are classified: ``validation``, ``test`` or ``all``.
        out: the file; beside the weights by default.

    Raises:
        FileNotFoundError, ValueError: for bad input, or a missing library; the message names it.
    """
    out = trained.models / "model_int8.onnx" if out is None else out
    with tempfile.TemporaryDirectory() as folder:
        float32 = export_network(trained, "onnx_network", slices_of(images), Path(folder) / "float32.onnx").file
        int8 = Path(folder) / "int8.onnx"
        quantize(float32, labeled_slices(trained.bundle, dataset_dir, "training", _CALIBRATION), int8)
        evaluated = {file.stem: evaluate(trained.bundle, file, dataset_dir, split) for file in (float32, int8)}
        write_classifier(trained, float32, images, Path(folder) / "classifier.onnx")  # whose preparation is the same
        written = write_classifier(trained, int8, images, out, read_onnx(int8), _ROUNDING)
    metrics = {name: one.metrics for name, one in evaluated.items()}
    return dataclasses.replace(written, metrics=metrics, costs=_costs(evaluated["int8"], evaluated["float32"]))


def _costs(int8: Evaluated, float32: Evaluated) -> dict[str, Measured]:
    """The difference of each metric on the same studies."""
    resamples = Resamples(int8.predictions.groups)
    pairs = against(int8.predictions, float32.predictions, resamples)["metrics"]
    return {name: pair["difference"] for name, pair in pairs.items()}


def quantize(source: Path, images: Tensor, target: Path) -> None:
    """Write an int8 copy of an ONNX network: weights are scaled per channel, activations by their ranges on images.

    Args:
        source: the network in float32.
        images: preprocessed images ``(N, C, H, W)``, on which the ranges of activations are measured.
        target: the file to write; it keeps the description.

    Raises:
        ValueError: if ONNX or ONNX Runtime is not installed.
    """
    onnx = library("onnx")
    library("onnxruntime")
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            _Calibration(images),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
    model = onnx.load(target)
    onnx.helper.set_model_props(model, describe_onnx(source) | {QUANTIZATION: '"int8"'})
    onnx.save(model, target)


class _Calibration:
    """A ``CalibrationDataReader``, from which ONNX Runtime takes images one at a time."""

    def __init__(self, images: Tensor) -> None:
        self._images: Iterator[Tensor] = iter(images.split(1))

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT: image.numpy()}
