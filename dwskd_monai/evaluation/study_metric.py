"""Metrics of studies during training, over all processes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from monai.utils import evenly_divisible_all_gather
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray
from torch import Tensor

from dwskd_monai.class_order import ClassNames, in_order
from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.metrics import overall_metrics, refuse_wrong_predictions
from dwskd_monai.evaluation.studies import StudyPrediction, StudyPredictions

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

    The evaluator's batches need ``label``, ``study``, ``study_index``, ``slice`` and ``slices``, and its postprocessing
    must give probabilities ``(K,)`` in ``pred``.

    ``monai.metrics.Cumulative`` collects and gathers too, but a process without a prediction does not take part in the
    gathering, so all others wait forever. This already happens with one study of one slice and two processes.

    Examples:
        >>> metric = StudyMetric("accuracy", ["healthy", "ill"])
        >>> for index, probabilities in enumerate([[0.9, 0.1], [0.2, 0.8]]):  # two slices of study 0, which is healthy
        ...     metric.update((torch.tensor(probabilities), [0, index, 2, 0]))
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
        self.aggregation = Aggregation() if aggregation is None else aggregation
        super().__init__()

    def reset(self) -> None:
        """Forget all predictions."""
        self._probabilities: list[Tensor] = []
        self._places: list[Tensor] = []
        self._names: dict[int, str] = {}  # of the studies that this process saw, for messages

    def iteration_completed(self, engine: Engine) -> None:
        """Collect a batch from the engine's decollated batch and output."""
        state: Any = engine.state
        for item, result in zip(state.batch, state.output, strict=True):
            self._names[int(item["study_index"])] = str(item["study"])
            place = [int(item[key]) for key in ("study_index", "slice", "slices", CommonKeys.LABEL)]
            self.update((result[CommonKeys.PRED], place))

    def update(self, output: Any) -> None:
        """Collect one slice: probabilities ``(K,)``, and ``[number of its study, slice, slices, label]``."""
        probabilities, place = output
        self._probabilities.append(torch.as_tensor(probabilities).detach().double().flatten().cpu())
        self._places.append(torch.tensor(place))

    def compute(self) -> float:
        """The metric over what all processes collected; NaN if it is undefined, or a prediction is not finite.

        Raises:
            IncompleteStudiesError: if studies lack slices.
        """
        probabilities, places = self._gathered()
        if not np.isfinite(probabilities).all():
            return float("nan")
        labels = places[:, 3]
        refuse_wrong_predictions(probabilities, labels, len(self.class_names))
        if self.level == "study":
            probabilities, labels = self._of_studies(probabilities, places)
        if len(np.unique(labels)) == 1 and self.metric is overall_metrics()["balanced_accuracy"]:
            # only a server trains with such images, since its user can only label more; a report has no number
            return overall_metrics()["accuracy"].function(probabilities, labels)
        return self.metric.function(probabilities, labels)

    def _gathered(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Probabilities ``(N, K)`` and places ``(N, 4)`` of all processes; some of them may have collected none."""
        probabilities = torch.zeros(0, len(self.class_names)).double()
        places = torch.zeros(0, 4, dtype=torch.long)
        if self._places:
            probabilities = torch.stack(self._probabilities)
            places = torch.stack(self._places)
        probabilities = evenly_divisible_all_gather(probabilities, concat=True)
        places = evenly_divisible_all_gather(places, concat=True)
        return probabilities.numpy(), places.numpy()

    def _of_studies(
        self, probabilities: NDArray[np.float64], places: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Probabilities and labels of the studies."""
        predictions = StudyPredictions(self.aggregation)
        studies: list[StudyPrediction] = []
        for row, (number, index, count, label) in zip(probabilities, places.tolist(), strict=True):
            name = self._names.get(number, f"study number {number}")
            study = predictions.add(name, index, count, row, label)
            if study is not None:
                studies.append(study)
        predictions.require_complete()
        whole = np.stack([study.probabilities for study in studies])
        return whole, np.array([study.label for study in studies])
