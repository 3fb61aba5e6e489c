"""Where a network comes from: versions, commit, data, metrics."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwskd_monai.bundle.settings_file import versions
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.bundle.training_config import without_places
from dwskd_monai.evaluation.metric_files import check_metrics


def provenance(trained: TrainedBundle, metrics: Mapping[str, Any] | None) -> dict[str, Any]:
    """The content of ``provenance.json``; unknown values are null.

    Args:
        trained: the bundle with its network.
        metrics: content of the ``metrics.json`` of an evaluation.

    Raises:
        ValueError: if the metrics are of another network, or of images that it was trained on.
    """
    sha256 = trained.settings.sha256
    if metrics is not None:
        check_metrics(metrics, trained.settings, trained.weights)
    training = {key: value for key, value in trained.settings.origin.items() if key != "images"}  # model.yaml has them
    return {
        "packages": versions(),
        "git_commit": _commit(Path(__file__).parent),
        "training": training,
        "overrides": without_places(trained.bundle.overrides),
        "model_sha256": sha256,
        "metrics": metrics,
    }


def _commit(folder: Path) -> str | None:
    """The commit of this package's repository, with ``-dirty`` if files differ from it; None without a repository."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--match="]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None
