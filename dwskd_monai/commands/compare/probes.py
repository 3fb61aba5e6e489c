"""Classifiers of scikit-learn on the embeddings of a frozen network: what can be reached without training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.data.utils import set_rnd
from monai.utils.enums import CommonKeys
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


class Probe(nn.Module):
    """A frozen network and a classifier of scikit-learn, together as a network that gives log-probabilities.

    So a probe is evaluated with the same config as any network.

    Args:
        backbone: gives pooled features ``(B, D)``.
        classifier: fitted, with ``predict_proba``.
    """

    def __init__(self, backbone: nn.Module, classifier: Any) -> None:
        super().__init__()
        self.backbone = backbone.eval().requires_grad_(False)
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """Log-probabilities ``(B, K)`` of images ``(B, C, H, W)``."""
        with torch.no_grad():
            embedded = self.backbone(images).float().cpu().numpy()
        with np.errstate(invalid="ignore"):  # label spreading divides by 0 for images that no label has reached
            probabilities = self.classifier.predict_proba(embedded)
        probabilities = np.where(np.isnan(probabilities), 1 / probabilities.shape[1], probabilities)
        return torch.from_numpy(np.log(np.clip(probabilities, 1e-12, 1))).float().to(images.device)


def fit_probe(
    teacher: nn.Module,
    dataset: Dataset,
    classifier: Any,
    device: torch.device | str,
    batch_size: int = 32,
    seed: int = 0,
    unlabeled: Dataset | None = None,
) -> Probe:
    """Embed the training images without augmentation, and fit the classifier on their labels.

    Args:
        teacher: a network without classifier; it is not changed.
        dataset: items with ``image`` ``(C, H, W)`` and ``label``; each class must occur.
        classifier: of scikit-learn, not fitted yet, with ``predict_proba``.
        device: where to embed.
        batch_size: how many images are embedded at a time.
        seed: of the slices that are drawn from volumes.
        unlabeled: items with ``image`` alone, for a classifier of ``sklearn.semi_supervised``; None: there are none.
    """
    teacher = teacher.to(device).eval()
    features, labels = _embedded(teacher, dataset, device, batch_size, seed)
    if unlabeled is not None:
        others, no_labels = _embedded(teacher, unlabeled, device, batch_size, seed)
        features, labels = np.concatenate([features, others]), np.concatenate([labels, no_labels])
    return Probe(teacher, classifier.fit(features, labels))


@torch.no_grad()
def _embedded(
    teacher: nn.Module, dataset: Dataset, device: torch.device | str, batch_size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Features ``(N, D)`` and labels ``(N,)`` of all items; -1 of those without a label, as scikit-learn has it."""
    set_rnd(dataset, seed)
    features = []
    labels = []
    for batch in DataLoader(dataset, batch_size):
        images = batch[CommonKeys.IMAGE]
        features.append(teacher(images.to(device)).float().cpu().numpy())
        labels.append(np.asarray(batch.get(CommonKeys.LABEL, np.full(len(images), -1))))
    return np.concatenate(features), np.concatenate(labels)
