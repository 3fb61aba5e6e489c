"""Labeled studies: their slices, and how well an exported network classifies them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import Tensor

from dwskd_monai.bundle.configs import read_config
from dwskd_monai.bundle.errors import cause_of

_EVALUATION = ("train", "evaluate", "evaluate_exported")


def slices_of(bundle: Path, dataset_dir: Path, split: str, overrides: Mapping[str, Any], most: int) -> Tensor:
    """Slices ``(N, C, H, W)`` of a split, spread over its studies, as the bundle's validation reads them.

    They come from the cache that the training left, or are put there.

    Args:
        bundle: folder of the bundle.
        dataset_dir: labeled images, as for training.
        split: ``training``, ``validation``, ``test`` or ``all``.
        overrides: ids of ``train.yaml`` and values.
        most: number of slices, if there are so many.

    Raises:
        FileNotFoundError, ValueError: as :func:`~dwskd_monai.data.datalist.load_split`, or for an image that cannot be
            read.
    """
    config = read_config(bundle, _EVALUATION, overrides)
    config["dataset_dir"] = str(dataset_dir)
    config["split"] = split
    dataset = _instance(config, "validate#dataset")
    step = max(1, len(dataset) // most)
    chosen = range(0, len(dataset), step)[:most]
    return torch.stack([dataset[index]["image"] for index in chosen])


def evaluate(bundle: Path, file: Path, dataset_dir: Path, split: str, overrides: Mapping[str, Any]) -> dict[str, float]:
    """Overall metrics of the studies of a split, by the bundle's ``evaluate.yaml``; NaN if one is not defined.

    Args:
        bundle: folder of the bundle.
        file: the exported network.
        dataset_dir: labeled images, as for training.
        split: ``validation``, ``test`` or ``all``.
        overrides: ids of the configs and values.

    Raises:
        FileNotFoundError, ValueError: as :func:`slices_of`.
    """
    config = read_config(bundle, _EVALUATION, overrides)
    with tempfile.TemporaryDirectory() as folder:
        config["dataset_dir"] = str(dataset_dir)
        config["split"] = split
        config["exported"] = str(file)
        config["output_dir"] = folder
        _instance(config, "evaluator").run()
        metrics = json.loads((Path(folder) / "metrics.json").read_text())
    overall: dict[str, float | None] = metrics["study"]["overall"]
    return {name: float("nan") if value is None else value for name, value in overall.items()}


def _instance(config: ConfigParser, name: str) -> Any:
    """What a config makes of an id; errors as its parts raised them."""
    try:
        return config.get_parsed_content(name)
    except RuntimeError as error:
        raise cause_of(error) from error
