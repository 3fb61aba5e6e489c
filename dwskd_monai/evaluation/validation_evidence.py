"""Evidence from the validation images, each time that a network is validated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray

from dwskd_monai.class_order import ClassNames, in_order
from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.collected import CollectedPredictions
from dwskd_monai.evaluation.fitting import Wanted, fit_evidence
from dwskd_monai.evaluation.novelty import Floats, describe_slices
from dwskd_monai.evaluation.novelty_fitting import fit_novelty

_MOST_SLICES = 2000  # of the training, which describe its images well enough


class Slices(Protocol):
    """A dataset of slices, as ``data.SliceDataset``."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Mapping[str, Any]: ...

    def without_augmentation(self, most: int) -> Slices:
        """The same images without random transforms: all slices, or ``most`` of them."""


class ValidationEvidence:
    """Fit calibration, operating points and prediction sets to what an evaluator has just predicted, and novelty.

    :class:`~dwskd_monai.training.handlers.best_model.BestModelSaver` attaches it, and writes what it fits together with
    the weights of the best network. So there is nothing to do at the end of a training, which may be killed before.

    Args:
        class_names: names in the order of the network's outputs, or ``channel_def`` of the metadata.
        patients: of each study, by its ``study_index``; None: unknown.
        aggregation: turns the probabilities of the slices into those of the study.
        calibrate, operating_point, prediction_set, novelty: see :class:`~dwskd_monai.evaluation.fitting.Wanted`.
        training, validation: the slices that the novelty score and its limits are fitted to; None: there is none. The
            score does not depend on the network, so it is fitted once, when the first network is saved.

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
        novelty: float | None = 0.95,
        training: Slices | None = None,
        validation: Slices | None = None,
    ) -> None:
        self.class_names = in_order(class_names)
        self.patients = list(patients)
        self.wanted = Wanted(calibrate, operating_point, prediction_set, novelty)
        self.training = training
        self.validation = validation
        self._novelty: dict[str, Any] | None = None
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
        record = fit_evidence(probabilities, labels, patients, self.class_names, aggregation, self.wanted)
        return {**record, "novelty": self._fitted_novelty()}

    def _fitted_novelty(self) -> dict[str, Any]:
        if self.wanted.novelty is None:
            return {"reason": "novelty is null"}
        if self.training is None or self.validation is None:
            return {"reason": "the slices of the training or validation images are not known"}
        if self._novelty is None:
            training, _ = _described(self.training.without_augmentation(_MOST_SLICES))
            validation, studies = _described(self.validation)
            self._novelty = fit_novelty(training, validation, studies, self.patients, self.wanted.novelty)
        return self._novelty


def _described(slices: Slices) -> tuple[Floats, NDArray[np.int64]]:
    """The description ``(N, D)`` of each slice, and its study.

    A data loader would draw from torch's generator, and the training would go on with other random numbers.
    """
    descriptions = []
    studies = []
    for index in range(len(slices)):
        item = slices[index]
        descriptions.append(describe_slices(np.asarray(item[CommonKeys.IMAGE])[None]))
        studies.append(int(item["study_index"]))
    return np.concatenate(descriptions), np.array(studies)
