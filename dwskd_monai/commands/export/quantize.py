"""An ONNX network in int8, by ONNX Runtime's static quantization, and what this costs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.commands.export.studies import evaluate, labeled_slices
from dwskd_monai.evaluation.exported import INPUT, describe_onnx, library

_CALIBRATION = 128  # number of slices on which the ranges of activations are measured


def quantize_and_measure(
    bundle: Bundle, source: Path, target: Path, dataset_dir: Path, split: str
) -> dict[str, dict[str, float]]:
    """Write an int8 copy of an ONNX network, and classify labeled studies with both.

    Args:
        bundle: the bundle that was trained.
        source: the network in float32.
        target: the file to write.
        dataset_dir: labeled images, as for training; training images calibrate the copy.
        split: of the studies that are classified: ``validation``, ``test`` or ``all``.

    Returns:
        The overall metrics of ``float32`` and of ``int8``.

    Raises:
        FileNotFoundError, ValueError: as :func:`quantize`, or for images that cannot be used.
    """
    quantize(source, labeled_slices(bundle, dataset_dir, "training", _CALIBRATION), target)
    return {
        "float32": evaluate(bundle, source, dataset_dir, split),
        "int8": evaluate(bundle, target, dataset_dir, split),
    }


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
    onnx.helper.set_model_props(model, describe_onnx(source) | {"quantization": '"int8"'})
    onnx.save(model, target)


class _Calibration:
    """A ``CalibrationDataReader``, from which ONNX Runtime takes images one at a time."""

    def __init__(self, images: Tensor) -> None:
        self._images: Iterator[Tensor] = iter(images.split(1))

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT: image.numpy()}
