"""What an exported network or classifier says about itself."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from dwskd_monai.bundle.classes import class_codes_of
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.commands.export.graph.building import BOOL, DOUBLE, FLOAT
from dwskd_monai.commands.export.graph.steps import Reading, Steps
from dwskd_monai.evaluation.exported import INPUT, OUTPUT
from dwskd_monai.runtime import names
from dwskd_monai.runtime.checked_metadata import CLASSIFIER_FORMAT, DIGEST, UNKNOWN_DIGEST

_CONSTANTS = (
    "image_size", "keep_aspect", "slice_axis", "intensity_mean", "intensity_std", "windows", "picture_range",
    "percentiles",
    "intensity",
)  # fmt: skip
_DTYPES = {BOOL: "bool", DOUBLE: "float64", FLOAT: "float32"}
_THEN = (
    "softmax over the classes: probabilities of slices, not calibrated; evidence is for studies, whose probabilities "
    "are aggregated from those of their slices, then taken to the power of 1 / temperature and divided by their sum"
)
_ORIENTATION = (
    "slices as a radiologist sees them, the patient's left at the right: axial ones from inferior to superior, coronal "
    "ones from anterior to posterior, sagittal ones from right to left. slice_axis says across which axis a volume is "
    "cut; thickest: the one with the largest spacing. Look-up tables (modality, VOI, palette) and the darkening of "
    "padding are applied before; PixelPaddingValue becomes the darkest other value"
)


def network_description(trained: TrainedBundle) -> dict[str, str]:
    """Names and JSON values for the metadata of a network in any format.

    ``preprocessing`` has the constants, ``input`` and ``output`` have names, shapes and meaning. ``evidence`` is not a
    part of the network, whose probabilities are those of slices and not calibrated.
    """
    settings = trained.settings
    size, channels = settings["image_size"], settings["in_chans"]
    content = _origin(trained) | {
        "input": {"name": INPUT, "shape": ["batch", channels, size, size], "dtype": "float32"},
        "output": {"name": OUTPUT, "shape": ["batch", len(settings.class_names)], "then": _THEN},
        "preprocessing": {key: settings[key] for key in _CONSTANTS if key in settings},
    }
    return _as_json(content)


def classifier_description(trained: TrainedBundle, graph: Any, steps: Steps, reading: Reading) -> dict[str, str]:
    """Names and JSON values for the metadata of a classifier.

    ``inputs`` and ``outputs`` have names, shapes and meaning, ``reading`` and ``preprocessing`` what comes before the
    network, ``studies`` what comes after it, ``settings`` all trained settings. The digest of the file is not
    known yet.

    Args:
        trained: the bundle.
        graph: that of the ONNX model.
        steps: the preprocessing in it.
        reading: what is done before it.
    """
    settings = trained.settings
    metadata = trained.bundle.metadata
    license_file = trained.bundle.folder / "LICENSE"
    words = license_file.read_text(encoding="utf-8").split("\n\n")[0].split() if license_file.is_file() else []
    content = _origin(trained) | {
        "format": CLASSIFIER_FORMAT,
        DIGEST: UNKNOWN_DIGEST,
        "class_codes": class_codes_of(metadata),
        "operating_points": dict(settings.evidence.get("operating_points", {})),
        "license": " ".join(words),
        "copyright": metadata.get("copyright", ""),
        "inputs": [_described(value) for value in graph.input],
        "outputs": [_described(value) for value in graph.output],
        "reading": dataclasses.asdict(reading) | {"orientation": _ORIENTATION},
        "preprocessing": dataclasses.asdict(steps),
        "studies": {"aggregation": dict(settings["aggregation"]), "then": _THEN},
        "planes": settings.planes,
        "settings": dict(settings),
    }
    return _as_json(content)


def _described(value: Any) -> dict[str, Any]:
    kind = value.type.tensor_type
    shape = [size.dim_param or size.dim_value or "slices" for size in kind.shape.dim]
    return {"name": value.name, "shape": shape, "dtype": _DTYPES[kind.elem_type], "meaning": names.MEANINGS[value.name]}


def _origin(trained: TrainedBundle) -> dict[str, Any]:
    """What a file says whatever it holds.

    ``study_transforms`` has the whole list of transforms, ``classes`` the names in the order of the output,
    ``weights_sha256`` the digest of the file that the network was made from, ``evidence`` what the training fitted.
    """
    settings = trained.settings
    metadata = trained.bundle.metadata
    name = settings["network_def"]["model_name"]
    return {
        "name": metadata["name"],
        "version": metadata["version"],
        "intended_use": metadata["intended_use"],
        "network": f"the mean of two {name}" if settings.deploys_both else name,
        "weights_sha256": settings.sha256,
        "classes": settings.class_names,
        "study_transforms": settings["study_transforms"],
        "evidence": dict(settings.evidence),
    }


def _as_json(content: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in content.items()}
