"""How good predictions are for a part of the studies, such as those of one site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.aggregation import Probabilities
from dwskd_monai.evaluation.areas import auc_record, auc_rows, mean_area_record
from dwskd_monai.evaluation.intervals import Groups, group_count, groups_of, too_few
from dwskd_monai.evaluation.measuring import LEAST_PATIENTS, Measured, share
from dwskd_monai.evaluation.page.rates import macro_rows
from dwskd_monai.evaluation.resampling import Resamples, Rows, lacking, record

Labels = NDArray[np.integer]
ONE_CLASS = "undefined: there is one class"


@dataclass(frozen=True)
class Predictions:
    """Predictions of studies.

    Args:
        probabilities: ``(N, K)``, calibrated.
        labels: ``(N,)``, indices of the classes.
        groups: the patient of each study.
        class_names: K names.
    """

    probabilities: Probabilities
    labels: Labels
    groups: Groups
    class_names: Sequence[str]

    @property
    def predicted(self) -> Labels:
        """The most probable class of each study."""
        return self.probabilities.argmax(1)

    @cached_property
    def performance(self) -> dict[str, Any]:
        """How good they are; see :func:`performance`."""
        return performance(self)

    def of(self, chosen: NDArray[np.bool_]) -> Predictions:
        """The predictions of the chosen studies."""
        if chosen.all():
            return self
        members = groups_of(chosen, self.groups)
        return Predictions(self.probabilities[chosen], self.labels[chosen], members, self.class_names)


def performance(predictions: Predictions) -> dict[str, Any]:
    """Counts, accuracy, and the means of sensitivity and AUC over the classes that occur; and of each class.

    Words stand in place of a mean if a class that occurs, or its complement, has too few patients.
    """
    labels, groups = predictions.labels, predictions.groups
    counts = {"studies": len(labels), "patients": group_count(groups)}
    right = predictions.predicted == labels
    accuracy = share(right, np.ones(len(right), dtype=bool), groups)
    reason = lacking_mean(predictions)
    resamples = Resamples(groups) if len(labels) else None
    areas = {} if resamples is None else class_areas(predictions, resamples)
    classes = {name: _of_class(predictions, index, areas) for index, name in enumerate(predictions.class_names)}
    found: dict[str, Measured] = dict.fromkeys(("balanced_accuracy", "auc"), reason or "")
    if resamples is not None and reason is None:
        sensitivity = macro_rows(predictions.predicted, labels, resamples)["sensitivity"]
        found["balanced_accuracy"] = record(sensitivity, len(labels))
        found["auc"] = mean_area_record(areas.values(), labels, groups)
    return {**counts, "accuracy": accuracy, **found, "classes": classes}


def lacking_mean(predictions: Predictions) -> str | None:
    """Words in place of a mean over the classes that occur, if one of these or its complement has too few patients."""
    if group_count(predictions.groups) < LEAST_PATIENTS:
        return too_few(predictions.groups)
    if len(np.unique(predictions.labels)) < 2:
        return ONE_CLASS
    reasons = []
    for index, name in enumerate(predictions.class_names):
        positive = predictions.labels == index
        reason = lacking(positive, predictions.groups)
        if positive.any() and reason is not None:
            reasons.append(f"{name}: {reason}")
    return "; ".join(reasons) or None


def class_areas(predictions: Predictions, resamples: Resamples) -> dict[str, Rows]:
    """The AUC ``(R + 1,)`` of each class that has enough patients."""
    areas = {}
    for index, name in enumerate(predictions.class_names):
        positive = predictions.labels == index
        if lacking(positive, predictions.groups) is None:
            areas[name] = auc_rows(predictions.probabilities[:, index], positive, resamples)
    return areas


def _of_class(predictions: Predictions, index: int, areas: dict[str, Rows]) -> dict[str, Any]:
    name = predictions.class_names[index]
    positive = predictions.labels == index
    flagged = predictions.predicted == index
    reason = lacking(positive, predictions.groups)
    return {
        "n": int(positive.sum()),
        "auc": reason or auc_record(areas[name], positive, predictions.groups),
        "sensitivity": share(flagged, positive, predictions.groups),
        "specificity": share(~flagged, ~positive, predictions.groups),
    }
