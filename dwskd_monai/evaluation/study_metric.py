"""Metrics of studies during training, over all processes."""

from __future__ import annotations

from typing import Any

import numpy as np
from ignite.engine import Engine
from ignite.metrics import Metric

from dwskd_monai.class_order import ClassNames, in_order
from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.collected import CollectedPredictions
from dwskd_monai.evaluation.metrics import overall_metrics, refuse_wrong_predictions

LEVELS = ("study", "slice")


class StudyMetric(Metric):
    """One of the overall metrics of :mod:`~dwskd_monai.evaluation.metrics`, of studies or slices.

    The metrics of ignite and MONAI count each prediction; here, the predictions of a study are aggregated first.
    Evaluation reports the same metric, so the epoch is chosen by the number that is shown later.

    Args:
        metric: name of one of ``OVERALL_METRICS``, such as ``balanced_accuracy``.
        class_names: names in the order of the network's outputs, or ``channel_def`` of the metadata.
        aggregation: turns the probabilities of the slices into those of the study.
        level: ``study``; or ``slice``, without aggregation.

    :class:`~dwskd_monai.evaluation.collected.CollectedPredictions` says what the evaluator must give.

    Examples:
        >>> metric = StudyMetric("accuracy", ["healthy", "ill"])
        >>> for index, probabilities in enumerate([[0.9, 0.1], [0.2, 0.8]]):  # two slices of study 0, which is healthy
        ...     metric.update((probabilities, [0, index, 2, 0]))
        >>> metric.compute()
        1.0
    """

    def __init__(
        self,
        metric: str,
        class_names: ClassNames,
        aggregation: Aggregation | None = None,
        level: str = "study",
    ) -> None:
        metrics = overall_metrics()
        if metric not in metrics:
            raise ValueError(f"metric must be one of {', '.join(metrics)}; got {metric!r}")
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}; got {level!r}")
        self.metric = metrics[metric]
        self.level = level
        self.class_names = in_order(class_names)
        self._collected = CollectedPredictions(len(self.class_names), aggregation)
        super().__init__()

    def reset(self) -> None:
        """Forget all predictions."""
        self._collected.reset()

    def iteration_completed(self, engine: Engine) -> None:
        """Collect a batch from the engine's decollated batch and output."""
        self._collected.collect(engine)

    def update(self, output: Any) -> None:
        """Collect one slice: probabilities ``(K,)``, and ``[number of its study, slice, slices, label]``."""
        self._collected.add(*output)

    def compute(self) -> float:
        """The metric over what all processes collected; NaN if it is undefined, or a prediction is not finite.

        Raises:
            IncompleteStudiesError: if studies lack slices.
        """
        probabilities, places = self._collected.gathered()
        if not np.isfinite(probabilities).all():
            return float("nan")
        labels = places[:, 3]
        refuse_wrong_predictions(probabilities, labels, len(self.class_names))
        if self.level == "study":
            studies = self._collected.of_studies(probabilities, places).values()
            probabilities = np.stack([study.probabilities for study in studies])
            labels = np.array([study.label for study in studies])
        if len(np.unique(labels)) == 1 and self.metric is overall_metrics()["balanced_accuracy"]:
            # only a server trains with such images, since its user can only label more; a report has no number
            return overall_metrics()["accuracy"].function(probabilities, labels)
        return self.metric.function(probabilities, labels)
