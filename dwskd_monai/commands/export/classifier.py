"""Writes a bundle's classifier as one ONNX file, if it says of images what the bundle says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose
from monai.utils.enums import CommonKeys
from torch import Tensor

from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.commands.export.export import TOLERANCE, Exported, ParityError, export_network
from dwskd_monai.commands.export.graph.classifier import Decisions, classifier
from dwskd_monai.commands.export.graph.steps import reading_of, steps_of
from dwskd_monai.commands.export.metadata import classifier_description
from dwskd_monai.commands.export.studies import as_batch
from dwskd_monai.data.items import read_prepared
from dwskd_monai.evaluation.aggregation import Aggregation, Probabilities
from dwskd_monai.evaluation.evidence import read_evidence
from dwskd_monai.evaluation.exported import Runner, library
from dwskd_monai.evaluation.studies import predict_study
from dwskd_monai.files import replacing
from dwskd_monai.runtime.checked_metadata import with_digest

FORMAT = "onnx"
_FILE = "model.onnx"
QUANTIZATION = "quantization"  # in the description of a network that is not in float32
_BATCH = 16
_ENOUGH_SLICES = 32  # with at least four images
_ENOUGH_IMAGES = 4
_OF_SCORE = 1e-3  # by which a novelty score may differ; outputs have two digits of it


@dataclass(frozen=True)
class Compared:
    """An image on which a classifier is compared with its bundle.

    Args:
        path: of the image.
        slices: the network's input as the bundle prepares it, ``(D, C, H, W)``.
    """

    path: str
    slices: Tensor


def prepared_images(trained: TrainedBundle, items: Iterable[Mapping[str, Any]]) -> list[Compared]:
    """The first of the images, as the bundle prepares them, until there are enough of them.

    Raises:
        FileNotFoundError, ValueError: if an image cannot be read.
    """
    transform = Compose(trained.settings.create_transforms())
    images: list[Compared] = []
    for item in items:
        slices = read_prepared(transform, item).volume.movedim(1, 0)
        images.append(Compared(str(item[CommonKeys.IMAGE]), slices))
        if len(images) >= _ENOUGH_IMAGES and sum(len(image.slices) for image in images) >= _ENOUGH_SLICES:
            break
    return images


def slices_of(images: Sequence[Compared]) -> Tensor:
    """Slices ``(N, C, H, W)`` with N >= 2, on which the network in a classifier is compared with PyTorch."""
    return as_batch(torch.cat([image.slices for image in images])[:_ENOUGH_SLICES])


def export_classifier(trained: TrainedBundle, images: Sequence[Compared], out: Path | None = None) -> Exported:
    """Write a bundle's classifier, from the stored numbers of an image to what is said of it, as one ONNX file.

    Args:
        trained: the bundle with its network.
        images: on which the classifier is compared with the bundle.
        out: the file; ``model.onnx`` beside the weights by default.

    Raises:
        ParityError: if a logit, a probability or a score differs; nothing is written then.
        ValueError: if a library is missing, or a transform cannot be a part of the graph; the message names it.
    """
    with tempfile.TemporaryDirectory() as folder:
        network = export_network(trained, "onnx_network", slices_of(images), Path(folder) / "network.onnx").file
        return write_classifier(trained, network, images, trained.models / _FILE if out is None else out)


def write_classifier(
    trained: TrainedBundle,
    network: Path,
    images: Sequence[Compared],
    out: Path,
    run: Runner | None = None,
    tolerance: float = TOLERANCE,
) -> Exported:
    """Write the classifier of a network that was exported to ONNX.

    Args:
        trained: the bundle.
        network: the file of the network.
        images: on which the classifier is compared.
        out: the file to write.
        run: the network with which it is compared, from slices to logits; None: that of the bundle.
        tolerance: largest difference of a probability.

    Raises:
        ParityError, ValueError: as :func:`export_classifier`.
    """
    onnx = library("onnx")
    library("onnxruntime")
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / _FILE
        decisions = decisions_of(trained)
        model = _described(trained, onnx.load(network), decisions)
        written.write_bytes(with_digest(model.SerializeToString()))
        difference = _largest_difference(written, images, run or trained.network, decisions, tolerance)
        with replacing(out) as temporary:
            shutil.copyfile(written, temporary)
    return Exported(out, difference, len(images), of="probability")


def decisions_of(trained: TrainedBundle) -> Decisions:
    """What is decided after the network, as the training fitted it.

    Raises:
        ValueError: for an aggregation that cannot be a part of the graph.
    """
    settings = trained.settings
    described = settings["aggregation"]
    if set(described) != {"_target_", "method", "k"}:
        raise ValueError(
            f"aggregation: {described['_target_']} cannot become a part of the file; export the network alone: "
            "--format onnx_network"
        )
    aggregation = Aggregation(described["method"], described["k"])
    return Decisions(settings.class_names, aggregation, read_evidence(settings.evidence, aggregation))


def _described(trained: TrainedBundle, network: Any, decisions: Decisions) -> Any:
    """The ONNX model of the classifier, with what it says of itself."""
    transforms = trained.settings.create_transforms()
    steps = steps_of(transforms)
    of_network = {prop.key: prop.value for prop in network.metadata_props if prop.key == QUANTIZATION}
    model = classifier(network, steps, decisions)
    described = classifier_description(trained, model.graph, steps, reading_of(transforms))
    library("onnx").helper.set_model_props(model, described | of_network)
    return model


def _largest_difference(
    file: Path, images: Sequence[Compared], run: Runner, decisions: Decisions, tolerance: float
) -> float:
    """The largest difference of a probability.

    Raises:
        ParityError: if it is too large, or if a novelty score differs; the message names the image.
    """
    from dwskd_monai.runtime.classifier import Classifier  # needs onnxruntime

    exported = Classifier(file)
    evidence = decisions.evidence
    largest = 0.0
    for image in images:
        answer = exported.predict(image.path)
        expected = predict_study(image.path, _probabilities(image, run), decisions.aggregation)
        difference = max(
            float(np.abs(answer.slices - expected.slices).max()),
            float(np.abs(answer.probabilities - evidence.calibrated(expected.probabilities)).max()),
        )
        _refuse("probabilities", difference, tolerance, image)
        if evidence.novelty is not None and answer.slice_novelty is not None:
            scores = evidence.novelty.of_slices(image.slices.numpy())
            _refuse("novelty scores", float((np.abs(answer.slice_novelty / scores - 1)).max()), _OF_SCORE, image)
        largest = max(largest, difference)
    return largest


@torch.inference_mode()
def _probabilities(image: Compared, run: Runner) -> Probabilities:
    logits = torch.cat([run(part) for part in image.slices.split(_BATCH)])
    return logits.softmax(1).double().numpy()


def _refuse(what: str, difference: float, tolerance: float, image: Compared) -> None:
    if not difference <= tolerance:
        raise ParityError(
            f"{FORMAT}: {what} differ by up to {difference:.2g} from the bundle's for {image.path}, more than "
            f"{tolerance:g}; nothing was written"
        )
