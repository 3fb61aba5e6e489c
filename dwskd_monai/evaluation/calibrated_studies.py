"""Calibrated probabilities for a server that predicts one study after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.transforms import Transform
from monai.utils.enums import CommonKeys

from dwskd_monai.evaluation.evidence import Evidence


class CalibrateStudyd(Transform):
    """Replace the probabilities of a study by the calibrated ones.

    A run with many studies does this in :class:`~dwskd_monai.evaluation.predictions.PredictionWriter`, because its
    network predicts slices.

    Args:
        evidence: what the training fitted; None: the probabilities stay as they are.
    """

    def __init__(self, evidence: Evidence | None) -> None:
        self.evidence = Evidence() if evidence is None else evidence

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The same item, with other probabilities ``(K,)`` in ``pred``."""
        prediction = data[CommonKeys.PRED]
        calibrated = self.evidence.calibrated(prediction.detach().double().cpu().numpy())
        return {
            **data,
            CommonKeys.PRED: torch.as_tensor(calibrated, dtype=prediction.dtype, device=prediction.device),
        }
