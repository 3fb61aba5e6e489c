"""Exported classifiers that cost a test nothing: their network looks at means and variances alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.settings_file import read_settings, settings_beside, write_settings
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.commands.export.classifier import prepared_images, write_classifier
from dwskd_monai.evaluation.exported import read_onnx
from dwskd_monai.evaluation.novelty import describe_slices
from dwskd_monai.evaluation.novelty_fitting import fit_novelty
from dwskd_monai.runtime.checked_metadata import DIGEST, UNKNOWN_DIGEST, with_digest
from tests.bundles.commands import SMALL_SETTINGS, save_network
from tests.conftest import BUNDLE, tiny_convnext


def small_network(file: Path, channels: int = 1, classes: int = 3) -> Path:
    """Logits of the mean and the variance of an image; torch's exporter would take seconds."""
    weights = np.resize([0.2, -0.4, 0.1, 0.02, 0.2, -0.2], (2 * channels, classes)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["image", "image"], ["squares"]),
            helper.make_node("Concat", ["image", "squares"], ["both"], axis=1),
            helper.make_node("ReduceMean", ["both", "axes"], ["means"], keepdims=0),
            helper.make_node("MatMul", ["means", "weights"], ["logits"]),
        ],
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", channels, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
            helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel()),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)
    return file


def make_classifier(folder: Path, image: Path, bundle: Path = BUNDLE, fitted: bool = True, **settings: Any) -> Path:
    """The file of a classifier.

    Args:
        folder: for it, and for its weights.
        image: on which it is compared with its bundle.
        bundle: whose classes and preprocessing it has.
        fitted: whether it has operating points, prediction sets and a novelty score.
        settings: beside those of a small network.
    """
    classes = Bundle(bundle).class_names
    torch.manual_seed(0)
    models = save_network(tiny_convnext(num_classes=len(classes)), folder, bundle, **SMALL_SETTINGS, **settings)
    if fitted:
        weights = models / "model.pt"
        trained = read_settings(weights)
        write_settings(settings_beside(weights), weights, trained, classes, {}, evidence(trained, classes))
    trained_bundle = TrainedBundle(Bundle(bundle, {"ckpt_dir": str(models)}))
    channels = trained_bundle.settings["in_chans"]
    network = small_network(folder / "network.onnx", channels, len(classes))
    compared = prepared_images(trained_bundle, [{"image": str(image)}])
    return write_classifier(trained_bundle, network, compared, folder / "model.onnx", read_onnx(network)).file


def changed(model: Path, out: Path, **properties: Any) -> Path:
    """A classifier that says something else of itself, with the digest of this; None: nothing."""
    graph = onnx.load(model)
    said = {prop.key: prop.value for prop in graph.metadata_props} | {DIGEST: json.dumps(UNKNOWN_DIGEST)}
    said |= {name: json.dumps(value) for name, value in properties.items()}
    helper.set_model_props(graph, {name: value for name, value in said.items() if properties.get(name, "") is not None})
    out.write_bytes(with_digest(graph.SerializeToString()))
    return out


def evidence(settings: Any, classes: list[str]) -> dict[str, Any]:
    """As a training leaves it, with thresholds that some studies reach, and a limit that none of them does."""
    slices = np.random.default_rng(0).normal(0, 1, (80, settings["in_chans"], 32, 32)).cumsum(3) / 8
    looks = describe_slices(slices)
    fitted = fit_novelty(looks[:40], looks[40:], np.arange(40), [None] * 40)
    share = 1 / len(classes)
    return {
        "aggregation": {"method": settings["aggregate"], "k": settings["top_k"]},
        "temperature": {"value": 0.7},
        "operating_points": {"classes": {classes[0]: {"threshold": share}}},
        "prediction_sets": {"coverage": 0.9, "classes": {name: {"threshold": share * 0.9} for name in classes[:-1]}},
        "novelty": fitted,
    }
