"""The file of trained settings, ``model.yaml`` beside ``model.pt``, and the digest that binds it to the weights.

A training writes it (:mod:`~dwskd_monai.bundle.settings_record`); everything later reads it, as
:class:`~dwskd_monai.bundle.trained_settings.TrainedSettings`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from dwskd_monai.bundle.trained_settings import NOT_TRAINED, TrainedSettings
from dwskd_monai.checkpoints import check_whole
from dwskd_monai.files import next_of

FORMAT = 1  # raise it when a reader of the former format would misread the file
PACKAGES = ("dwskd_monai", "monai", "torch", "timm", "pytorch-ignite", "numpy")  # which decide what a network is
# lists of thousands of digests take the others seconds
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def settings_beside(weights: str | Path) -> Path:
    """Where the settings of a network are: ``models/model.yaml`` for ``models/model.pt``."""
    return Path(weights).with_suffix(".yaml")


def digest_of(weights: str | Path) -> str:
    """SHA-256 of a file of weights."""
    with Path(weights).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """The versions of :data:`PACKAGES`."""
    return {name: version(name) for name in PACKAGES}


def require_weights(weights: Path) -> Path:
    """The file of weights; raises FileNotFoundError if it does not exist."""
    if not weights.is_file():
        raise FileNotFoundError(NOT_TRAINED.format(weights))
    return weights


def write_settings(
    file: Path,
    weights: Path,
    settings: Mapping[str, Any],
    class_names: list[str],
    origin: Mapping[str, Any],
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """Write the settings that weights were trained with.

    Args:
        file: the file to write.
        weights: the file of the state dict.
        settings, class_names, origin, evidence: see :class:`~dwskd_monai.bundle.trained_settings.TrainedSettings`.
    """
    content = {
        "format": FORMAT,
        "weights": {"sha256": digest_of(weights)},
        "classes": class_names,
        "settings": dict(settings),
        "training": dict(origin),
    }
    if evidence:
        content["evidence"] = dict(evidence)
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    file.write_text(text, encoding="utf-8")


def read_settings(weights: str | Path) -> TrainedSettings:
    """The settings that the network of a file of weights was trained with.

    Args:
        weights: the file of the network's state dict; its settings are beside it.

    Raises:
        FileNotFoundError: if there are no weights.
        ValueError: if the weights are damaged or are not a file of weights; if the settings are missing, belong to
            other weights, or cannot be read. The message says what to do.
    """
    weights = require_weights(Path(weights))
    sha256 = digest_of(weights)
    file = settings_beside(weights)
    following = next_of(file)
    content = _content(file, sha256)
    if content is None:
        content = _content(following, sha256)
        if content is not None:
            with suppress(OSError):  # an interrupted training left it; in a read-only folder it may stay
                os.replace(following, file)
    if content is None:
        check_whole(weights)  # if they are damaged, their digest is another one too
        remedy = (
            "for weights that were made elsewhere, write the settings: python -m dwskd_monai settings BUNDLE "
            f"--checkpoint {weights}"
        )
        if file.is_file() or following.is_file():
            raise ValueError(
                f"{file} has the settings of other weights than {weights}. Copy both files together; {remedy}"
            )
        raise ValueError(
            f"{weights} has no trained settings: {file} does not exist. Copy this file with the weights; {remedy}"
        )
    return TrainedSettings(
        content["settings"], list(content["classes"]), content["training"], weights, sha256, content.get("evidence")
    )


def _content(file: Path, sha256: str) -> dict[str, Any] | None:
    """The content of a file of settings; None if it does not exist, or belongs to weights with another digest."""
    if not file.is_file():
        return None
    try:
        content: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), _Loader)
        if content["format"] > FORMAT:
            raise ValueError(
                f"{file} has format {content['format']}, but this dwskd_monai reads formats up to {FORMAT}; update it"
            )
        for key in ("settings", "classes", "training"):
            content[key]
        belongs = content["weights"]["sha256"] == sha256
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} is not a file of trained settings, or is damaged: {error!r}; copy it again"
        ) from error
    return content if belongs else None
