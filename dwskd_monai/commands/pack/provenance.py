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

from dwskd_monai.bundle.configs import items_of, read_config
from dwskd_monai.data.cache import StudyCache
from dwskd_monai.data.digests import contents, digest_of_splits

PACKAGES = ("dwskd_monai", "monai", "torch", "timm", "pytorch-ignite", "numpy")


def provenance(
    model: Path, overrides: Mapping[str, Any], metrics: Mapping[str, Any] | None, data_hash: str | None
) -> dict[str, Any]:
    """What ``provenance.json`` says; unknown is null.

    Args:
        model: the deployed state dict.
        overrides: what the configs were changed by.
        metrics: content of the ``metrics.json`` of an evaluation.
        data_hash: of the training and validation images, as ``compare`` gives it.
    """
    return {
        "packages": {name: version(name) for name in PACKAGES},
        "git_commit": _commit(Path(__file__).parent),
        "data_hash": data_hash,
        "overrides": dict(overrides),
        "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "metrics": metrics,
    }


def hash_of_data(bundle: Path, dataset_dir: Path, overrides: Mapping[str, Any]) -> str:
    """The digest of a bundle's training and validation images, as ``compare`` gives it.

    Args:
        bundle: its folder.
        dataset_dir: labelled images, as for training.
        overrides: ids of ``train.yaml`` and values that the network was trained with.
    """
    parser = read_config(bundle, "train", overrides)
    parser["dataset_dir"] = str(dataset_dir)
    with tempfile.TemporaryDirectory() as folder:
        cache = StudyCache(folder, [])
        splits = {split: contents(items_of(parser, split, 0), cache, split) for split in ("training", "validation")}
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
        raise ValueError(f"metrics: {path} is no metrics.json of evaluate.yaml ({error!r})") from error
    return content


def _commit(folder: Path) -> str | None:
    """The commit of this package's repository, with ``-dirty`` where files differ from it; None outside of one."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--match="]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None
