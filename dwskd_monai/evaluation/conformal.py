"""Prediction sets: the classes that a study may have, so that its class is among them as often as promised."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dwskd_monai.evaluation.intervals import CONFIDENCE, Groups, Interval, group_count, group_numbers, too_few

_ROUNDING = 1e-9  # of a sum of weights


@dataclass(frozen=True)
class SetThreshold:
    """From which probability a class is in the prediction set.

    Args:
        threshold: None if nothing can be promised; the class is then in each set.
        n: number of studies of the class.
        reason: why there is no threshold.
        coverage: share of the class's studies whose set has the class: on average over validation images that could
            have been drawn, and what 95 % of such draws give.
    """

    threshold: float | None
    n: int
    reason: str | None = None
    coverage: Interval | None = None


def checked_share(setting: str, share: float) -> float:
    """A share of studies; raises ValueError, with the name of the setting, if it is not one."""
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise ValueError(f"{setting}: expected a share between 0 and 1, such as 0.9, or null; got {share!r}")
    return float(share)


def fit_set_threshold(scores: NDArray[np.floating], groups: Groups, coverage: float) -> SetThreshold:
    """Split conformal prediction for one class (Vovk et al. 2005), by its probability (Sadinle et al. 2019).

    With one study of each of n patients, the threshold is the score of rank ceil((n + 1) · coverage) from above: a new
    study of the class reaches it with a probability of at least ``coverage``. With fewer than coverage / (1 - coverage)
    patients, which is 9 for 0.9, nothing can be promised. A patient with m studies counts as one, each study 1/m (Lee,
    Barber and Willett, Distribution-free inference with hierarchical data, arXiv 2306.06342); the promise is then for
    a study of a new patient. The libraries crepes and MAPIE have no such weights.

    Args:
        scores: ``(N,)``, probabilities of the class, of its studies alone.
        groups: their patients.
        coverage: share of its studies whose set must have the class.
    """
    patients = group_count(groups)
    rank = math.ceil((patients + 1) * coverage - _ROUNDING)
    if rank > patients:
        return SetThreshold(None, len(scores), too_few(groups))
    members = group_numbers(groups)
    order = np.argsort(-scores, kind="stable")
    weights = 1 / np.bincount(members)[members[order]]
    reached = np.cumsum(weights) >= (patients + 1) * coverage - _ROUNDING
    threshold = float(scores[order][int(reached.argmax())])
    tail = (1 - CONFIDENCE) / 2
    low, high = stats.beta.ppf((tail, 1 - tail), rank, patients + 1 - rank)
    average = rank / (patients + 1)
    return SetThreshold(threshold, len(scores), None, Interval(average, float(low), float(high), len(scores)))
