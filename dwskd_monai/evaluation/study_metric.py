"""Metrics of studies during training, over all processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from monai.utils import evenly_divisible_all_gather
from monai.utils.enums import CommonKeys
from torch import Tensor

from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.metrics import classification_metrics

LEVELS = ("study", "slice")
OVERALL = ("accuracy", "balanced_accuracy", "macro_auc", "macro_f1")


class StudyMetric(Metric):
    """An overall metric of :func:`~dwskd_monai.evaluation.metrics.classification_metrics`, of studies or slices.

    ignite's and MONAI's metrics count each prediction; here those of one study are aggregated first. It is what
    evaluation reports, so the epoch is chosen by the number that is shown afterwards.

    Args:
        metric: ``accuracy``, ``balanced_accuracy``, ``macro_auc`` or ``macro_f1``.
        class_names: names in the order of the network's outputs, or metadata's ``channel_def``.
        aggregation: of the slices' probabilities.
        level: ``study``, or ``slice``: without aggregation.

    The evaluator's batches need ``label`` and ``study_index``, its postprocessing must give probabilities ``(K,)`` in
    ``pred``.
    """

    def __init__(
        self,
        metric: str,
        class_names: Sequence[str] | Mapping[str, str],
        aggregation: Aggregation | None = None,
        level: str = "study",
    ) -> None:
        if metric not in OVERALL:
            raise ValueError(f"metric must be one of {', '.join(OVERALL)}; got {metric!r}")
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}; got {level!r}")
        self.metric, self.level = metric, level
        self.class_names = list(class_names.values() if isinstance(class_names, Mapping) else class_names)
        self.aggregation = Aggregation() if aggregation is None else aggregation
        super().__init__()

    def reset(self) -> None:
        """Forget all predictions."""
        self._predictions: list[Tensor] = []
        self._labels: list[Tensor] = []

    def iteration_completed(self, engine: Engine) -> None:
        """Collect a batch, from the engine's decollated batch and output."""
        state: Any = engine.state
        for item, result in zip(state.batch, state.output, strict=True):
            self.update((result[CommonKeys.PRED], item[CommonKeys.LABEL], item["study_index"]))

    def update(self, output: Any) -> None:
        """Collect one slice: probabilities ``(K,)``, its label and the number of its study."""
        probabilities, label, study = output
        self._predictions.append(torch.as_tensor(probabilities).detach().double().flatten().cpu())
        self._labels.append(torch.tensor([int(label), int(study)]))

    def compute(self) -> float:
        """The metric over what all processes collected; NaN where a prediction is not finite."""
        classes = len(self.class_names)
        probabilities = torch.stack(self._predictions) if self._predictions else torch.zeros(0, classes).double()
        labels = torch.stack(self._labels) if self._labels else torch.zeros(0, 2, dtype=torch.long)
        probabilities = evenly_divisible_all_gather(probabilities, concat=True)
        labels, studies = evenly_divisible_all_gather(labels, concat=True).unbind(1)
        if not torch.isfinite(probabilities).all():
            return float("nan")
        if self.level == "study":
            members = [studies == study for study in studies.unique()]
            labels = torch.stack([labels[member][0] for member in members])
            rows = [torch.from_numpy(self.aggregation(probabilities[member].numpy())) for member in members]
            probabilities = torch.stack(rows)
        return classification_metrics(probabilities.numpy(), labels.numpy(), self.class_names).overall[self.metric]
