"""The studies on which an exported network is tried: their slices, and how well it classifies them."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.data.items import study_of
from dwskd_monai.data.phantoms import make_phantom_of
from dwskd_monai.evaluation.fitting import patient_groups
from dwskd_monai.evaluation.page.subsets import Predictions
from dwskd_monai.evaluation.prediction_files import read_predictions
from dwskd_monai.files import read_json

_COMPARED = 32  # number of slices on which networks are compared, and of images on which classifiers are
_CONFIGS = ("train", "evaluate", "evaluate_exported")
_ADVICE = "give labeled images, on which the exported network is compared: --dataset_dir DIR"
_STRICT = {"refused": None}  # an image that cannot be used raises an error


def comparison_slices(bundle: Bundle, dataset_dir: Path | None = None, split: str = "validation") -> Tensor:
    """Slices ``(N, C, H, W)`` with N >= 2, on which an exported network is compared with PyTorch.

    Args:
        bundle: the bundle that was trained.
        dataset_dir: labeled images, as for training; None: a synthetic study of the bundle's modality.
        split: of ``dataset_dir``: ``validation``, ``test`` or ``all``.

    Raises:
        FileNotFoundError, ValueError: as :func:`labeled_slices`, or if there is no synthetic study of the modality.
    """
    if dataset_dir is None:
        slices = _phantom_slices(bundle, _COMPARED)
    else:
        slices = labeled_slices(bundle, dataset_dir, split, _COMPARED)
    return as_batch(slices)


def as_batch(slices: Tensor) -> Tensor:
    """The slices ``(N, C, H, W)``, or two if there is one: of a batch, so that its size may become free."""
    return torch.cat([slices, slices.flip(-1)]) if len(slices) == 1 else slices


@contextmanager
def comparison_items(
    bundle: Bundle, dataset_dir: Path | None = None, split: str = "validation"
) -> Iterator[list[dict[str, Any]]]:
    """Images on which an exported classifier is compared with the bundle: items whose ``image`` is a path.

    Args:
        bundle: the bundle that was trained.
        dataset_dir: labeled images, as for training; None: a synthetic study of the bundle's modality.
        split: of ``dataset_dir``: ``validation``, ``test`` or ``all``.

    Raises:
        FileNotFoundError, ValueError: as :func:`comparison_slices`.
    """
    if dataset_dir is not None:
        items = bundle.parsed("validate#dataset#data", *_CONFIGS, dataset_dir=str(dataset_dir), split=split, **_STRICT)
        step = max(1, len(items) // _COMPARED)
        yield list(items[::step][:_COMPARED])
        return
    with tempfile.TemporaryDirectory() as folder:
        phantom = make_phantom_of(bundle.name, Path(folder) / "phantom", _ADVICE)
        yield list(bundle.parsed("dataset#data", "inference", dataset_dir=str(phantom), **_STRICT))


def labeled_slices(bundle: Bundle, dataset_dir: Path, split: str, most: int) -> Tensor:
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
    settings = {"dataset_dir": str(dataset_dir), "split": split, **_STRICT}
    dataset = bundle.parsed("validate#dataset", *_CONFIGS, **settings)
    step = max(1, len(dataset) // most)
    chosen = range(0, len(dataset), step)[:most]
    return torch.stack([dataset[index]["image"] for index in chosen])


def _phantom_slices(bundle: Bundle, most: int) -> Tensor:
    """The first slices ``(N, C, H, W)`` of a synthetic study, as the bundle's inference reads them."""
    with tempfile.TemporaryDirectory() as folder:
        phantom = make_phantom_of(bundle.name, Path(folder) / "phantom", _ADVICE)
        dataset = bundle.parsed("dataset", "inference", dataset_dir=str(phantom), **_STRICT)
        return torch.stack([item["image"] for item in itertools.islice(dataset, most)])


@dataclass(frozen=True)
class Evaluated:
    """How an exported network classifies labeled studies.

    Args:
        metrics: overall ones; NaN where undefined.
        predictions: of the studies, in the order of the datalist.
    """

    metrics: Mapping[str, float]
    predictions: Predictions


def evaluate(bundle: Bundle, file: Path, dataset_dir: Path, split: str) -> Evaluated:
    """Classify the studies of a split by the bundle's ``evaluate.yaml``.

    Args:
        bundle: the bundle that was trained.
        file: the exported network.
        dataset_dir: labeled images, as for training.
        split: ``validation``, ``test`` or ``all``.

    Raises:
        FileNotFoundError, ValueError: as :func:`labeled_slices`.
    """
    with tempfile.TemporaryDirectory() as name:
        settings = {"exported": str(file), "dataset_dir": str(dataset_dir), "split": split, "output_dir": name}
        exported = Bundle(bundle.folder, {**bundle.overrides, **settings, **_STRICT, "report": False})
        exported.parsed("evaluator", *_CONFIGS).run()
        items = exported.parsed("validate#dataset", *_CONFIGS).data
        folder = Path(name)
        metrics: dict[str, float | None] = read_json(folder / "metrics.json")["study"]["overall"]
        found = read_predictions([folder / "predictions.csv"], bundle.class_names)
    patients = {study_of(item): item.get("patient") for item in items}
    groups = patient_groups([patients[study] for study in found.studies])
    predictions = Predictions(found.probabilities, found.labels, groups, bundle.class_names)
    return Evaluated({key: float("nan") if value is None else value for key, value in metrics.items()}, predictions)
