"""Predictions of slices that an evaluator made, over all processes, and those of the studies."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from monai.utils import evenly_divisible_all_gather
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray
from torch import Tensor

from dwskd_monai.evaluation.aggregation import Aggregation, Probabilities
from dwskd_monai.evaluation.studies import StudyPrediction, StudyPredictions


class CollectedPredictions:
    """What an evaluator predicts in an epoch, batch by batch.

    The evaluator's batches need ``label``, ``study``, ``study_index``, ``slice`` and ``slices``, and its postprocessing
    must give probabilities ``(K,)`` in ``pred``.

    ``monai.metrics.Cumulative`` collects and gathers too, but a process without a prediction does not take part in the
    gathering, so all others wait forever. This already happens with one study of one slice and two processes.

    Args:
        classes: number of classes.
        aggregation: turns the probabilities of the slices into those of the study.
    """

    def __init__(self, classes: int, aggregation: Aggregation | None = None) -> None:
        self.classes = classes
        self.aggregation = Aggregation() if aggregation is None else aggregation
        self.reset()

    def reset(self, engine: Engine | None = None) -> None:
        """Forget all predictions."""
        self._probabilities: list[Tensor] = []
        self._places: list[Tensor] = []
        self._names: dict[int, str] = {}  # of the studies that this process saw, for messages

    def collect(self, engine: Engine) -> None:
        """Take a batch from the engine's decollated batch and output."""
        state: Any = engine.state
        for item, result in zip(state.batch, state.output, strict=True):
            self._names[int(item["study_index"])] = str(item["study"])
            place = [int(item[key]) for key in ("study_index", "slice", "slices", CommonKeys.LABEL)]
            self.add(result[CommonKeys.PRED], place)

    def add(self, probabilities: Any, place: list[int]) -> None:
        """Take one slice: probabilities ``(K,)``, and ``[number of its study, slice, slices, label]``."""
        self._probabilities.append(torch.as_tensor(probabilities).detach().double().flatten().cpu())
        self._places.append(torch.tensor(place))

    def gathered(self) -> tuple[Probabilities, NDArray[np.int64]]:
        """Probabilities ``(N, K)`` and places ``(N, 4)`` of all processes; some of them may have collected none."""
        probabilities = torch.zeros(0, self.classes).double()
        places = torch.zeros(0, 4, dtype=torch.long)
        if self._places:
            probabilities = torch.stack(self._probabilities)
            places = torch.stack(self._places)
        probabilities = evenly_divisible_all_gather(probabilities, concat=True)
        places = evenly_divisible_all_gather(places, concat=True)
        return probabilities.numpy(), places.numpy()

    def of_studies(self, probabilities: Probabilities, places: NDArray[np.int64]) -> dict[int, StudyPrediction]:
        """The predictions of the studies by their numbers, from those of all slices.

        Raises:
            IncompleteStudiesError: if studies lack slices.
        """
        predictions = StudyPredictions(self.aggregation)
        studies: dict[int, StudyPrediction] = {}
        for row, (number, index, count, label) in zip(probabilities, places.tolist(), strict=True):
            name = self._names.get(number, f"study number {number}")
            study = predictions.add(name, index, count, row, label)
            if study is not None:
                studies[number] = study
        predictions.require_complete()
        return studies
