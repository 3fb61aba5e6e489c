"""Where a network comes from: versions, commit, data, metrics."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwskd_monai.bundle.settings_file import versions
from dwskd_monai.bundle.settings_record import without_places
from dwskd_monai.bundle.trained import TrainedBundle


def provenance(trained: TrainedBundle, metrics: Mapping[str, Any] | None) -> dict[str, Any]:
    """The content of ``provenance.json``; unknown values are null.

    Args:
        trained: the bundle with its network.
        metrics: content of the ``metrics.json`` of an evaluation.

    Raises:
        ValueError: if the metrics are of another network, or of images that it was trained on.
    """
    sha256 = trained.settings.sha256
    if metrics is not None and metrics.get("weights_sha256") != sha256:
        raise ValueError(
            f"metrics: these are of another network, whose weights have the digest {metrics.get('weights_sha256')}; "
            f"{trained.weights} has {sha256}; evaluate this network"
        )
    if metrics is not None and metrics.get("trained_images"):
        raise ValueError("metrics: measured on images that the network was trained on; evaluate it on other images")
    training = {key: value for key, value in trained.settings.origin.items() if key != "images"}  # model.yaml has them
    return {
        "packages": versions(),
        "git_commit": _commit(Path(__file__).parent),
        "training": training,
        "overrides": without_places(trained.bundle.overrides),
        "model_sha256": sha256,
        "metrics": metrics,
    }


def read_metrics(path: Path) -> dict[str, Any]:
    """The content of an evaluation's ``metrics.json``.

    Raises:
        FileNotFoundError: if it does not exist.
        ValueError: if the file is something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"metrics: {path} does not exist; evaluate.yaml writes metrics.json into output_dir")
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        content["study"]["overall"]["count"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"metrics: {path} is not a metrics.json of evaluate.yaml ({error!r})") from error
    return content


def _commit(folder: Path) -> str | None:
    """The commit of this package's repository, with ``-dirty`` if files differ from it; None without a repository."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--match="]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None
