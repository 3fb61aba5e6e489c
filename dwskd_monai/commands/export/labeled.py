"""Labeled studies: their slices, and how well an exported network classifies them."""

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

    They come from the cache that the training left, or are put there.

    Args:
        bundle: the bundle that was trained.
        dataset_dir: labeled images, as for training.
        split: ``training``, ``validation``, ``test`` or ``all``.
        most: number of slices, if there are so many.

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
    """Overall metrics of the studies of a split, by the bundle's ``evaluate.yaml``; NaN if one is not defined.

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
    """The configs of an evaluation of an exported network, with more settings than the bundle's overrides."""
    overrides = bundle.overrides | settings | {"refused": None}  # the first image that cannot be used is raised
    return Bundle(bundle.folder, overrides).config("train", "evaluate", "evaluate_exported")
