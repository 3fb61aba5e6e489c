"""Whether probabilities mean what they say: of studies with 0.8, 80 % should be of the class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.aggregation import Probabilities
from dwskd_monai.evaluation.calibration import bins_of
from dwskd_monai.evaluation.fitting import plain_record
from dwskd_monai.evaluation.intervals import Groups, group_count, mean_interval, too_few
from dwskd_monai.evaluation.measuring import LEAST_PATIENTS, Measured, share

Labels = NDArray[np.integer]


def reliability(scores: NDArray[np.floating], hits: NDArray[np.bool_], groups: Groups) -> list[dict[str, Any]]:
    """Bins of equal numbers of studies: the mean probability, and the share of hits with its exact interval.

    The bins are those of :func:`~dwskd_monai.evaluation.calibration.calibration_error`; scikit-learn's
    ``calibration_curve`` has no intervals.

    Args:
        scores: ``(N,)``, probabilities.
        hits: ``(N,)``, whether what is probable came true.
        groups: the patient of each study.
    """
    of_bin = bins_of(scores)
    bins = []
    for number in np.unique(of_bin):
        chosen = of_bin == number
        bins.append({"mean": round(float(scores[chosen].mean()), 6), "share": share(hits, chosen, groups)})
    return bins


def brier_score(probabilities: Probabilities, labels: Labels, groups: Groups) -> Measured:
    """The mean squared distance between the probabilities of all classes and the truth (Brier 1950), from 0 to 2."""
    if group_count(groups) < LEAST_PATIENTS:
        return too_few(groups)
    truth = np.eye(probabilities.shape[1])[labels]
    return dict(plain_record(mean_interval(((probabilities - truth) ** 2).sum(1), groups)))


def confidence_bins(probabilities: Probabilities, labels: Labels, groups: Groups) -> list[dict[str, Any]]:
    """The reliability of the probability of the predicted class."""
    return reliability(probabilities.max(1), probabilities.argmax(1) == labels, groups)
