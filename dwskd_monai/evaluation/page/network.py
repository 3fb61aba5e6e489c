"""The evaluated network in words, from its trained settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

NOT_RECORDED = "not recorded"
_PLAIN = (bool, int, float, str)


@dataclasses.dataclass(frozen=True)
class Trained:
    """What is known of the network.

    Args:
        settings: ids and values of the trained settings; empty: unknown.
        training: their part ``training``: images, best epoch, teacher, versions; empty: unknown.
    """

    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_TOGETHER = {
    "both": ", the mean of two",
    "ensemble": ", the mean of two as they were at the end of the training",
    "soup": " with the mean weights of two as they were at the end of the training",
}


def in_words(trained: Trained, weights_sha256: str | None) -> dict[str, str]:
    """Names and values; what an earlier version did not record says so."""
    settings, training = trained.settings, trained.training
    return {
        "bundle": _joined(training.get("bundle"), ("name", "version")),
        "student": _student(settings),
        "teacher": _joined(training.get("teacher"), ("model_name",)),
        "image size": str(settings.get("image_size", NOT_RECORDED)),
        "slices become a study by": _aggregation(settings),
        "best epoch": _best(training.get("best")),
        "trained on": _images(training),
        "changed settings": _overrides(training.get("overrides")),
        "digest of the weights": weights_sha256 or "not a single trained network",
        "versions of the training": _versions(training.get("versions")),
    }


def _joined(part: Mapping[str, Any] | None, keys: tuple[str, ...]) -> str:
    values = [str(part[key]) for key in keys if part.get(key) is not None] if part else []
    return ", ".join(values) or NOT_RECORDED


def _student(settings: Mapping[str, Any]) -> str:
    network = settings.get("network_def")
    name = network.get("model_name") if isinstance(network, Mapping) else None
    if name is None:
        return NOT_RECORDED
    return f"{name}{_TOGETHER.get(str(settings.get('deploy')), '')}"


def _aggregation(settings: Mapping[str, Any]) -> str:
    method = settings.get("aggregate", NOT_RECORDED)
    return f"top_k of {settings['top_k']}" if method == "top_k" else str(method)


def _best(best: Mapping[str, Any] | None) -> str:
    if not best or best.get("epoch") is None:
        return NOT_RECORDED
    value = best.get("value")
    shown = f"{value:.3f}" if isinstance(value, float) else str(value)
    return f"{best['epoch']}, with {best.get('metric')} {shown} on the validation images"


def _images(training: Mapping[str, Any]) -> str:
    images = training.get("images")
    if not images:
        return NOT_RECORDED
    parts = [
        f"{split} images not recorded" if digests is None else f"{len(digests):,} {split} images"
        for split, digests in images.items()
        if split != "unlabeled"
    ]
    refused = sum(training.get("refused_images", {}).values())
    unlabeled = training.get("unlabeled", {}).get("images")
    more = [f"{unlabeled:,} images without labels"] if unlabeled else []
    return ", ".join([*parts, *more, f"{refused:,} refused"])


def _overrides(overrides: Mapping[str, Any] | None) -> str:
    if overrides is None:
        return NOT_RECORDED
    shown = [f"{key}: {value}" for key, value in overrides.items() if _is_plain(value)]
    return ", ".join(shown) or "none"


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) and not str(value).startswith(("@", "$", "%"))


def _versions(versions: Mapping[str, str] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in (versions or {}).items()) or NOT_RECORDED
