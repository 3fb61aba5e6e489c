"""Labelled studies, and how well a network in any format classifies them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader
from torch import Tensor
from tqdm import tqdm

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.errors import cause_of
from dwskd_monai.commands.export.formats import Runner
from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.metrics import classification_metrics


class LabelledSlices:
    """The slices of a split, as the bundle's validation reads them, from the cache that its training left.

    Args:
        bundle: folder of the bundle.
        dataset_dir: labelled images, as for training.
        split: ``training``, ``validation``, ``test`` or ``all``.
        overrides: ids of ``train.yaml`` and values.

    Raises:
        FileNotFoundError, ValueError: as :func:`~dwskd_monai.data.datalist.load_split`, or for a study that cannot be
            read.
    """

    def __init__(self, bundle: Path, dataset_dir: Path, split: str, overrides: Mapping[str, Any]) -> None:
        config = Bundle(bundle, overrides).config("train")
        config["dataset_dir"] = str(dataset_dir)
        config["validate#dataset#data#split"] = split
        names = config["_meta_#network_data_format#outputs#pred#channel_def"]
        self.class_names = list(names.values())
        self._batch_size = int(config.get_parsed_content("batch_size"))
        self._aggregation: Aggregation = config.get_parsed_content("aggregation")
        try:
            self._dataset = config.get_parsed_content("validate#dataset")
        except RuntimeError as error:
            raise cause_of(error) from error

    def batches(self) -> Iterator[dict[str, Any]]:
        """Batches with ``image`` ``(B, C, H, W)``, ``label`` and ``study``."""
        yield from DataLoader(self._dataset, batch_size=self._batch_size)

    def images(self, most: int) -> Tensor:
        """``(N, C, H, W)``, spread over the studies."""
        step = max(1, len(self._dataset) // most)
        chosen = range(0, len(self._dataset), step)[:most]
        return torch.stack([self._dataset[index]["image"] for index in chosen])

    def metrics(self, network: Runner, name: str) -> dict[str, float]:
        """Accuracy, balanced accuracy, macro AUC and macro F1 of the studies."""
        slices: dict[str, list[np.ndarray]] = {}
        labels: dict[str, int] = {}
        with torch.inference_mode():
            for batch in tqdm(self.batches(), f"measuring {name}", total=-(-len(self._dataset) // self._batch_size)):
                probabilities = network(batch["image"]).float().softmax(1).double().numpy()
                for study, label, row in zip(batch["study"], batch["label"], probabilities, strict=True):
                    slices.setdefault(study, []).append(row)
                    labels[study] = int(label)
        wholes = np.stack([self._aggregation(np.stack(rows)) for rows in slices.values()])
        return classification_metrics(wholes, np.array(list(labels.values())), self.class_names).overall
