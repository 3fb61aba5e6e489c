"""What an exported network says about itself: input, preprocessing, classes."""

from __future__ import annotations

import json
from typing import Any

from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.evaluation.exported import INPUT, OUTPUT

_CONSTANTS = (
    "image_size", "keep_aspect", "slice_axis", "intensity_mean", "intensity_std", "windows", "picture_range",
    "percentiles",
    "intensity",
)  # fmt: skip
_THEN = (
    "softmax over the classes: probabilities of slices, not calibrated; evidence is for studies, whose probabilities "
    "are aggregated from those of their slices, then taken to the power of 1 / temperature and divided by their sum"
)


def description(trained: TrainedBundle) -> dict[str, str]:
    """Names and JSON values for the metadata of a format.

    ``preprocessing`` has the constants, ``study_transforms`` the whole list of transforms, ``input`` and ``output``
    their names, shapes and meaning, ``classes`` the names in the order of the output, ``weights_sha256`` the digest of
    the file that the network was made from, ``evidence`` what the training fitted: it is not a part of the network,
    whose probabilities are those of slices and not calibrated.
    """
    settings = trained.settings
    metadata = trained.bundle.metadata
    classes = settings.class_names
    name = settings["network_def"]["model_name"]
    size = settings["image_size"]
    channels = settings["in_chans"]
    content: dict[str, Any] = {
        "name": metadata["name"],
        "version": metadata["version"],
        "intended_use": metadata["intended_use"],
        "network": f"the mean of two {name}" if settings.deploys_both else name,
        "weights_sha256": settings.sha256,
        "classes": classes,
        "input": {"name": INPUT, "shape": ["batch", channels, size, size], "dtype": "float32"},
        "output": {"name": OUTPUT, "shape": ["batch", len(classes)], "then": _THEN},
        "preprocessing": {key: settings[key] for key in _CONSTANTS if key in settings},
        "study_transforms": settings["study_transforms"],
        "evidence": dict(settings.evidence),
    }
    return {name: json.dumps(value) for name, value in content.items()}
