"""Slices of labeled studies, and how well an exported network classifies these studies."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from torch import Tensor

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.errors import parsed_content
from dwskd_monai.files import read_json


def slices_of(bundle: Bundle, dataset_dir: Path, split: str, most: int) -> Tensor:
    """Slices ``(N, C, H, W)`` of a split, spread over its studies, as the bundle's validation reads them.

    They come from the cache of the training; missing ones are added to it.

    Args:
        bundle: the bundle that was trained.
        dataset_dir: labeled images, as for training.
        split: ``training``, ``validation``, ``test`` or ``all``.
        most: the largest number of slices.

    Raises:
        FileNotFoundError, ValueError: as :func:`~dwskd_monai.data.datalist.load_split`, or for an image that cannot be
            read.
    """
    config = _evaluation(bundle, dataset_dir=str(dataset_dir), split=split)
    dataset = parsed_content(config, "validate#dataset")
    step = max(1, len(dataset) // most)
    chosen = range(0, len(dataset), step)[:most]
    return torch.stack([dataset[index]["image"] for index in chosen])


def evaluate(bundle: Bundle, file: Path, dataset_dir: Path, split: str) -> dict[str, float]:
    """Overall metrics of the studies of a split, by the bundle's ``evaluate.yaml``; NaN for undefined ones.

    Args:
        bundle: the bundle that was trained.
        file: the exported network.
        dataset_dir: labeled images, as for training.
        split: ``validation``, ``test`` or ``all``.

    Raises:
        FileNotFoundError, ValueError: as :func:`slices_of`.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = _evaluation(bundle, dataset_dir=str(dataset_dir), split=split, exported=str(file), output_dir=folder)
        parsed_content(config, "evaluator").run()
        metrics = read_json(Path(folder) / "metrics.json")
    overall: dict[str, float | None] = metrics["study"]["overall"]
    return {name: float("nan") if value is None else value for name, value in overall.items()}


def _evaluation(bundle: Bundle, **settings: str) -> ConfigParser:
    """The configs that evaluate an exported network, with settings in addition to the bundle's overrides."""
    overrides = bundle.overrides | settings | {"refused": None}  # an image that cannot be used raises an error
    return Bundle(bundle.folder, overrides).config("train", "evaluate", "evaluate_exported")
