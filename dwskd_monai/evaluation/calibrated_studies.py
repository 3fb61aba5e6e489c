"""For a server that predicts one study after the other: calibrated probabilities, and warnings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from monai.utils import convert_to_numpy
from monai.utils.enums import CommonKeys

from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.planes import UNKNOWN, UnusualPlanes
from dwskd_monai.evaluation.unlike import StudyNovelty

_logger = logging.getLogger(__name__)


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


class WarnOfPlaned(Transform):
    """Warn if an image was cut in an unusual plane, for a server that predicts one image after the other.

    A run with many images warns once: :class:`~dwskd_monai.evaluation.predictions.PredictionWriter`.

    Args:
        planes: number of training images of each plane, as for :class:`UnusualPlanes`.
    """

    def __init__(self, planes: Mapping[str, int] | None) -> None:
        self.planes = planes

    def __call__(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same item; its plane is in ``image_plane``, the path of its image in ``file``."""
        planes = UnusualPlanes(self.planes)
        planes.add(str(data.get("file", "an image")), str(data.get(f"{CommonKeys.IMAGE}_plane", UNKNOWN)))
        planes.warn()
        return data


class WarnOfNoveltyd(Transform):
    """Warn if a study is unlike the training images, for a server that predicts one study after the other.

    A run with many studies writes it to ``predictions.csv``: see
    :class:`~dwskd_monai.evaluation.predictions.PredictionWriter`.

    Args:
        evidence: what the training fitted; None: nothing is said.
    """

    def __init__(self, evidence: Evidence | None) -> None:
        self.novelty = None if evidence is None else evidence.novelty

    def __call__(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same item; its slices ``(C, S, H, W)`` are in ``image``, as the network gets them."""
        if self.novelty is not None:
            slices = self.novelty.of_slices(np.moveaxis(convert_to_numpy(data[CommonKeys.IMAGE]), 1, 0))
            for note in StudyNovelty.of(self.novelty, slices).notes():
                _logger.warning("%s is %s", data.get("file", "an image"), note)
        return data
