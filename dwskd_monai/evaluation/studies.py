"""From predictions of slices, in whatever order they come, to predictions of studies.

All predictions of studies are made here: those in the files of an evaluation or inference, in the metric of a training,
and in the inferer for MONAI Label. Only numpy is imported, so that a program without torch can do the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dwskd_monai.evaluation.aggregation import Aggregation, Probabilities

COUNT_UNKNOWN = 0
_MOST_NAMES = 10


class IncompleteStudiesError(ValueError):
    """Slices of a study were not predicted."""


@dataclass(frozen=True)
class StudyPrediction:
    """The prediction of a study.

    Args:
        study: its name.
        slices: probabilities ``(S, K)`` of its slices, in their order.
        probabilities: ``(K,)`` of the study.
        label: index of its class, if it is known.
    """

    study: str
    slices: Probabilities
    probabilities: Probabilities
    label: int | None = None


def predict_study(
    study: str, slices: Probabilities, aggregation: Aggregation, label: int | None = None
) -> StudyPrediction:
    """The prediction of a study from those of all its slices ``(S, K)``."""
    return StudyPrediction(study, slices, aggregation(slices), label)


class StudyPredictions:
    """Studies that are being predicted, slice by slice.

    Args:
        aggregation: turns the probabilities of the slices into those of the study; the mean by default.

    Examples:
        >>> import numpy as np
        >>> studies = StudyPredictions()
        >>> studies.add("CT 1", 1, 2, np.array([0.2, 0.8]))
        >>> studies.add("CT 1", 0, 2, np.array([0.6, 0.4])).probabilities
        array([0.4, 0.6])
    """

    def __init__(self, aggregation: Aggregation | None = None) -> None:
        self.aggregation = Aggregation() if aggregation is None else aggregation
        self._open: dict[str, _OpenStudy] = {}
        self._complete: set[str] = set()

    def add(
        self, study: str, index: int, count: int, probabilities: Probabilities, label: int | None = None
    ) -> StudyPrediction | None:
        """Take the prediction of one slice.

        Args:
            study: name of its study.
            index: of the slice in the study, from 0.
            count: number of the study's slices; 0 if it is not known yet, because an image of the study has not been
                read. It must be given with the slices of the last image.
            probabilities: ``(K,)``.
            label: index of the study's class, if it is known.

        Returns:
            The study's prediction if this was its last slice.

        Raises:
            ValueError: if the slice came before or is not one of ``count``, or if the label or count differs.
        """
        if study in self._complete:
            raise ValueError(f"{study}: slice {index} came after all slices of the study; expected each of them once")
        known = self._open.setdefault(study, _OpenStudy(study, label))
        known.add(index, count, probabilities, label)
        if len(known.slices) != known.count:
            return None
        del self._open[study]
        self._complete.add(study)
        return predict_study(study, known.in_order(), self.aggregation, label)

    def require_complete(self) -> None:
        """Raise IncompleteStudiesError, with their names, if studies lack slices."""
        if not self._open:
            return
        shown = ", ".join(known.describe() for known in list(self._open.values())[:_MOST_NAMES])
        more = len(self._open) - _MOST_NAMES
        raise IncompleteStudiesError(
            f"incomplete studies have no prediction: {shown}{f' and {more} more' if more > 0 else ''}; expected each "
            "slice of each study once"
        )


@dataclass
class _OpenStudy:
    """A study of which some slices were predicted."""

    study: str
    label: int | None
    count: int = COUNT_UNKNOWN
    slices: dict[int, Probabilities] = field(default_factory=dict)
    highest: int = -1  # index of a slice

    def add(self, index: int, count: int, probabilities: Probabilities, label: int | None) -> None:
        if label != self.label:
            raise ValueError(f"{self.study}: has label {self.label} and, at slice {index}, {label}; expected one")
        if count != COUNT_UNKNOWN:
            if self.count not in (COUNT_UNKNOWN, count):
                raise ValueError(f"{self.study}: has {self.count} slices or, at slice {index}, {count}; expected one")
            self.count = count
        if index in self.slices:
            raise ValueError(f"{self.study}: slice {index} came twice; expected each slice of each study once")
        self.slices[index] = probabilities
        self.highest = max(self.highest, index)
        if index < 0 or (self.count != COUNT_UNKNOWN and self.highest >= self.count):
            wrong = index if index < 0 else self.highest
            raise ValueError(f"{self.study}: slice {wrong} is not one of its {self.count} slices, counted from 0")

    def in_order(self) -> Probabilities:
        """``(S, K)``."""
        return np.stack([self.slices[index] for index in sorted(self.slices)])

    def describe(self) -> str:
        present = len(self.slices)
        if self.count == COUNT_UNKNOWN:
            return f"{self.study} ({present} slice{'s' if present > 1 else ''}, and images to be read)"
        return f"{self.study} ({present} of {self.count} slices)"
