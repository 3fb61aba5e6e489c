"""Intervals of metrics, by resampling patients: images of one patient are not independent of each other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
_RESAMPLES = 1000
_AT_A_TIME = 100  # resamples, which bounds the memory for their weights


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % interval.

    Args:
        value: from all images.
        low, high: the 2.5th and 97.5th percentiles of the resamples.
    """

    value: float
    low: float
    high: float


def auc_interval(
    scores: NDArray[np.floating], positive: NDArray[np.bool_], groups: Sequence[Hashable], seed: int = 0
) -> Interval:
    """Area under the ROC curve, with the percentile interval of a cluster bootstrap (Field and Welsh 2007).

    Args:
        scores: ``(N,)``, higher for positive images.
        positive: ``(N,)``; both kinds must occur.
        groups: of each image, its patient, or whatever else is sampled as a whole.
        seed: of the resamples.

    Raises:
        ValueError: if all images are positive, or none is.

    Examples:
        >>> scores = np.array([0.1, 0.4, 0.35, 0.8])
        >>> auc_interval(scores, np.array([False, False, True, True]), "abcd").value
        0.75
    """
    if positive.all() or not positive.any():
        raise ValueError("the AUC needs images of both kinds")
    _, members = np.unique([str(group) for group in groups], return_inverse=True)
    count = int(members.max()) + 1
    random = np.random.default_rng(seed)
    values: list[NDArray[np.float64]] = []
    for start in range(0, _RESAMPLES, _AT_A_TIME):
        size = min(_AT_A_TIME, _RESAMPLES - start)
        drawn = random.multinomial(count, np.full(count, 1 / count), size)  # how often each group is drawn
        values.append(_weighted_auc(scores, positive, drawn[:, members].astype(float)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(np.concatenate(values), (tail, 1 - tail))
    value = float(_weighted_auc(scores, positive, np.ones((1, len(scores))))[0])
    return Interval(value, float(low), float(high))


def _weighted_auc(
    scores: NDArray[np.floating], positive: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """AUC for each row of weights ``(R, N)``; equal scores count half. NaN if a row leaves one kind out."""
    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    ordered, of_positive = weights[:, order], positive[order]
    positives = np.add.reduceat(ordered * of_positive, starts, axis=1)
    negatives = np.add.reduceat(ordered * ~of_positive, starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    pairs = positives.sum(1) * negatives.sum(1)
    with np.errstate(invalid="ignore"):
        return (positives * below).sum(1) / np.where(pairs > 0, pairs, np.nan)
