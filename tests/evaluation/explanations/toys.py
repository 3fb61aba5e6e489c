"""Networks of which it is known where they look."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SIDE = 32


class Looking(nn.Module):
    """Logits of two classes from the mean of some pixels; timm's networks say where their features are."""

    def __init__(self, rows: slice, columns: slice, strength: float = 4.0) -> None:
        super().__init__()
        self.window = (rows, columns)
        self.stem = nn.Conv2d(1, 1, 1, bias=False)
        self.features = nn.Conv2d(1, 2, 1, bias=False)
        nn.init.constant_(self.stem.weight, 1)
        nn.init.constant_(self.features.weight, strength)
        self.register_buffer("mask", torch.zeros(SIDE, SIDE))
        self.mask[rows, columns] = 1
        self.feature_info = [{"module": "features", "num_chs": 2, "reduction": 1}]

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(self.stem(images)) * self.mask
        score = features.sum((1, 2, 3)) / (2 * self.mask.sum())
        return torch.stack([-score, score], 1)


class Slices:
    """A dataset of studies ``(S, 1, H, W)``."""

    def __init__(self, studies: list[Tensor]) -> None:
        self.studies = studies

    def item_of(self, study_index: int, number: int) -> dict[str, Any]:
        return {"image": self.studies[study_index][number]}
