"""Another network on the images of an evaluation, to be compared with the one that is evaluated."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader, Dataset
from monai.utils.enums import CommonKeys
from torch import nn

from dwskd_monai.class_order import ClassNames, in_order
from dwskd_monai.evaluation.aggregation import Aggregation, Probabilities
from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.page.network import Trained, in_words
from dwskd_monai.evaluation.studies import StudyPredictions

_logger = logging.getLogger(__name__)


@dataclass
class OtherNetwork:
    """A network with its own preprocessing, aggregation and calibration.

    Args:
        network: from slices ``(B, C, H, W)`` to logits ``(B, K)``, with its weights.
        dataset: the slices of the evaluated images as this network takes them, such as ``data.SliceDataset``.
        class_names: the classes in the order of the evaluation.
        own_class_names: the same classes in the order of the network's outputs.
        aggregation: of its slices.
        evidence: what its training fitted.
        weights_sha256: digest of its weights.
        settings, training: of its trained settings, for the report.
        trained_images: whether it learned from some of the images; None: unknown.
        fitted_images: how many of the images chose its epoch; None: unknown.
        device: on which it runs.
        batch_size: slices at a time.

    Raises:
        ValueError: if its classes are others.
    """

    network: nn.Module
    dataset: Dataset
    class_names: ClassNames
    own_class_names: Sequence[str]
    aggregation: Aggregation
    evidence: Evidence
    weights_sha256: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    trained_images: bool | None = None
    fitted_images: int | None = None
    device: torch.device | str = "cpu"
    batch_size: int = 16

    def __post_init__(self) -> None:
        names, own = in_order(self.class_names), list(self.own_class_names)
        if sorted(names) != sorted(own):
            raise ValueError(
                f"against: expected a network of the classes {', '.join(names)}, got one of {', '.join(own)}; networks "
                "are compared if both tell the same classes apart"
            )
        self._order = [own.index(name) for name in names]
        self.trained = Trained(self.settings, self.training)

    def described(self) -> dict[str, Any]:
        """Which network it is, and what makes it look better than it is."""
        return {
            "network": in_words(self.trained, self.weights_sha256),
            "weights_sha256": self.weights_sha256,
            "trained_images": self.trained_images,
            "fitted_images": self.fitted_images,
        }

    def predict(self) -> dict[str, Probabilities]:
        """The calibrated probabilities ``(K,)`` of each study, by its name; classes as in the evaluation."""
        studies = StudyPredictions(self.aggregation)
        found: dict[str, Probabilities] = {}
        _logger.info("the other network predicts %d slices", len(self.dataset))
        self.network.to(self.device).eval()
        for batch in DataLoader(self.dataset, batch_size=self.batch_size):
            with torch.inference_mode():
                logits = self.network(batch[CommonKeys.IMAGE].to(self.device))
            rows = logits.softmax(1).double().cpu().numpy()
            places = zip(batch["study"], batch["slice"].tolist(), batch["slices"].tolist(), strict=True)
            for (name, index, count), row in zip(places, rows, strict=True):
                study = studies.add(name, index, count, row)
                if study is not None:
                    found[name] = self.evidence.calibrated(study.probabilities)[self._order]
        studies.require_complete()
        return found

    def of(self, studies: Sequence[str]) -> Probabilities:
        """The same ``(N, K)`` for these studies, in this order."""
        predictions = self.predict()
        return np.stack([predictions[name] for name in studies])
