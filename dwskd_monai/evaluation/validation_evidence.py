"""Evidence from the validation images, each time that a network is validated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from dwskd_monai.class_order import ClassNames, in_order
from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.collected import CollectedPredictions
from dwskd_monai.evaluation.fitting import Wanted, fit_evidence


class ValidationEvidence:
    """Fit calibration, operating points and prediction sets to what an evaluator has just predicted.

    :class:`~dwskd_monai.training.handlers.best_model.BestModelSaver` attaches it, and writes what it fits together with
    the weights of the best network. So there is nothing to do at the end of a training, which may be killed before.

    Args:
        class_names: names in the order of the network's outputs, or ``channel_def`` of the metadata.
        patients: of each study, by its ``study_index``; None: unknown.
        aggregation: turns the probabilities of the slices into those of the study.
        calibrate, operating_point, prediction_set: see :class:`~dwskd_monai.evaluation.fitting.Wanted`.

    :class:`~dwskd_monai.evaluation.collected.CollectedPredictions` says what the evaluator must give.
    """

    def __init__(
        self,
        class_names: ClassNames,
        patients: Sequence[str | None],
        aggregation: Aggregation | None = None,
        calibrate: bool = True,
        operating_point: str | None = "youden",
        prediction_set: float | None = 0.9,
    ) -> None:
        self.class_names = in_order(class_names)
        self.patients = list(patients)
        self.wanted = Wanted(calibrate, operating_point, prediction_set)
        self._collected = CollectedPredictions(len(self.class_names), aggregation)

    def attach(self, engine: Engine) -> None:
        """Collect the predictions of each epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._collected.reset)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collected.collect)

    def fit(self) -> dict[str, Any]:
        """What the last epoch gives, the same in all processes, each of which must call this."""
        studies = sorted(self._collected.of_studies(*self._collected.gathered()).items())
        probabilities = np.stack([study.probabilities for _, study in studies])
        labels = np.array([study.label for _, study in studies])
        patients = [self.patients[number] for number, _ in studies]
        aggregation = self._collected.aggregation
        return fit_evidence(probabilities, labels, patients, self.class_names, aggregation, self.wanted)
