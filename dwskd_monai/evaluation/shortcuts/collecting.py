"""What the network says of parts of the evaluated images, and what these parts and the files are, for a forest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from monai.networks.utils import eval_mode
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray
from torch import nn

from dwskd_monai.evaluation.aggregation import Aggregation, Probabilities
from dwskd_monai.evaluation.shortcuts.forest import one_hot
from dwskd_monai.evaluation.shortcuts.parts import PARTS, thumbnail, thumbnail_parts
from dwskd_monai.evaluation.studies import StudyPredictions

Properties = Mapping[str, Sequence[Sequence[float | str]]]  # of files, such as their size: a row for each study


class Files(Protocol):
    """A dataset that knows its files, as ``data.SliceDataset``."""

    def file_properties(self) -> Properties:
        """Properties of the files of each study, by ``study_index``."""


@dataclass(frozen=True)
class Seen:
    """What there is to tell the classes of the studies, other than whole images.

    Args:
        probabilities: ``(N, K)`` by the network for each part of the images, before they are calibrated.
        features: ``(N, F)`` of each part of the images, and of the properties of the files.
    """

    probabilities: Mapping[str, Probabilities] = field(default_factory=dict)
    features: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


class Shortcuts:
    """Ask the network about parts of the images, in an evaluation: three more passes over the images.

    Args:
        network: that is evaluated.
        files: the dataset of the evaluated images; None: nothing is known of the files.
        enabled: whether anything is done.
    """

    def __init__(self, network: nn.Module, files: Files | None = None, enabled: bool = True) -> None:
        self.network = network
        self.files = files
        self.enabled = enabled
        self.begin(Aggregation())

    def begin(self, aggregation: Aggregation) -> None:
        """Forget what was seen; studies are made of slices by ``aggregation``."""
        self._open = {name: StudyPredictions(aggregation) for name in PARTS}
        self._studies: dict[str, dict[str, Probabilities]] = {name: {} for name in PARTS}
        self._thumbnails: dict[str, NDArray[np.float32]] = {}

    def add(self, batch: Sequence[Mapping[str, Any]], device: torch.device) -> None:
        """Take the slices of a batch, as the network gets them: ``image``, ``study``, ``slice`` and ``slices``."""
        images = torch.stack([torch.as_tensor(item[CommonKeys.IMAGE]) for item in batch])
        on_device = images.to(device)
        for name, part in PARTS.items():
            with eval_mode(self.network):
                logits = self.network(part(on_device))
            self._add_part(name, batch, logits.float().softmax(1).double().cpu().numpy())
        for item, image in zip(batch, images, strict=True):
            if int(item["slice"]) == int(item["slices"]) // 2:
                self._thumbnails[str(item["study"])] = thumbnail(image.cpu())

    def _add_part(self, name: str, batch: Sequence[Mapping[str, Any]], probabilities: Probabilities) -> None:
        for item, row in zip(batch, probabilities, strict=True):
            study = self._open[name].add(str(item["study"]), int(item["slice"]), int(item["slices"]), row)
            if study is not None:
                self._studies[name][study.study] = study.probabilities

    def seen(self, studies: Sequence[str], numbers: Sequence[int]) -> Seen:
        """What was seen of the studies.

        Args:
            studies: their names.
            numbers: the ``study_index`` of each.
        """
        probabilities = {name: np.stack([found[one] for one in studies]) for name, found in self._studies.items()}
        features = thumbnail_parts(np.stack([self._thumbnails[study] for study in studies]))
        if self.files is not None:
            for name, rows in self.files.file_properties().items():
                features[name] = _as_numbers([rows[number] for number in numbers])
        return Seen(probabilities, features)


def _as_numbers(rows: Sequence[Sequence[float | str]]) -> NDArray[np.float64]:
    if any(isinstance(value, str) for row in rows for value in row):
        return one_hot([[str(value) for value in row] for row in rows])
    return np.array(rows, dtype=float)
