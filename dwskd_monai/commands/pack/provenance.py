"""Where a network comes from: versions, commit, data, what was measured."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.data.cache import ImageCache
from dwskd_monai.data.digests import contents, digest_of_splits

PACKAGES = ("dwskd_monai", "monai", "torch", "timm", "pytorch-ignite", "numpy")


def provenance(trained: TrainedBundle, metrics: Mapping[str, Any] | None, dataset_dir: Path | None) -> dict[str, Any]:
    """What ``provenance.json`` says; unknown is null.

    Args:
        trained: the bundle with its network.
        metrics: content of the ``metrics.json`` of an evaluation.
        dataset_dir: labeled images that it was trained on; only their digest is kept.
    """
    return {
        "packages": {name: version(name) for name in PACKAGES},
        "git_commit": _commit(Path(__file__).parent),
        "data_hash": None if dataset_dir is None else _digest_of_data(trained.bundle, dataset_dir),
        "overrides": trained.bundle.overrides,
        "model_sha256": hashlib.sha256(trained.weights.read_bytes()).hexdigest(),
        "metrics": metrics,
    }


def _digest_of_data(bundle: Bundle, dataset_dir: Path) -> str:
    """Of the training and validation images, as ``compare`` gives it."""
    with tempfile.TemporaryDirectory() as folder:
        cache = ImageCache(folder, [])
        splits = {
            split: contents(bundle.items(dataset_dir, split), cache, split) for split in ("training", "validation")
        }
    return digest_of_splits(splits)


def read_metrics(path: Path) -> dict[str, Any]:
    """The content of an evaluation's ``metrics.json``.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is something else.
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
    """The commit of this package's repository, with ``-dirty`` where files differ from it; None outside of one."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--match="]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None
