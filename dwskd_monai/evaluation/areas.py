"""Areas under curves, with intervals that hold what they promise: of patients drawn again, by their log-odds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from dwskd_monai.evaluation.intervals import CONFIDENCE, Groups, group_count, groups_of
from dwskd_monai.evaluation.measuring import Measured
from dwskd_monai.evaluation.resampling import Resamples, Rows, record

_MOST_THRESHOLDS = 500  # of the resamples; the numbers of all studies use each score


def auc_rows(scores: NDArray[np.floating], positive: NDArray[np.bool_], resamples: Resamples) -> Rows:
    """AUC of a class against all others, of all studies and of each resample: ``(R + 1,)``.

    The thresholds are the scores; more than 500 different scores are put into 500 bins.

    Args:
        scores: ``(N,)``.
        positive: ``(N,)``, whether a study is of the class; both kinds must occur.
        resamples: of the patients.
    """
    tp, fp = flagged(scores, positive, resamples)
    auc = area_under(shares(tp), shares(fp))
    auc[0] = roc_auc_score(positive, scores)
    return auc


def auc_record(auc: Rows, positive: NDArray[np.bool_], groups: Groups) -> Measured:
    """An AUC with its interval; each resample of an AUC of 1 is 1, so its lower end is that of Newcombe.

    Args:
        auc: ``(R + 1,)``.
        positive: ``(N,)``, whether a study is of the class.
        groups: the patient of each study.
    """
    measured = area_record(auc, [positive], groups)
    if isinstance(measured, str) or auc[0] < 1:
        return measured
    of_class = group_count(groups_of(positive, groups))
    others = group_count(groups_of(~positive, groups))
    return {"value": 1.0, "low": round(perfect_auc_low(of_class, others), 6), "high": 1.0, "n": len(positive)}


def area_record(area: Rows, kinds: Sequence[NDArray[np.bool_]], groups: Groups) -> Measured:
    """An area under a curve, or the mean of those of several classes, with a t interval of its log-odds.

    The standard error is half the width of the middle 68.3 % of the resamples: their standard deviation would follow
    the few that are nearly 1. Their 95 % percentiles would cover the truth too rarely, most of all near 1 and with few
    patients of a class (``benchmarks/simulated_evidence.py``).

    Args:
        area: ``(R + 1,)``, from 0 to 1.
        kinds: of each class, ``(N,)``, whether a study is of it.
        groups: the patient of each study.
    """
    measured = record(area, len(groups))
    if isinstance(measured, str) or measured["low"] is None:
        return measured
    fewest = min(group_count(groups_of(side, groups)) for kind in kinds for side in (kind, ~kind))
    half_a_pair = 0.5 / min(kind.sum() * (~kind).sum() for kind in kinds)  # a resample of area 1 has no log-odds
    log_odds = logit(np.clip(area, half_a_pair, 1 - half_a_pair))
    error = np.diff(np.nanquantile(log_odds[1:], stats.norm.cdf((-1, 1))))[0] / 2
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, fewest - 1)) * error
    low, high = expit(log_odds[0] + np.array([-half, half]))
    return {**measured, "low": round(float(low), 6), "high": round(float(high), 6)}


def mean_area_record(areas: Iterable[Rows], labels: NDArray[np.integer], groups: Groups) -> Measured:
    """The mean of the areas of all classes that occur, as :func:`area_record`.

    Args:
        areas: ``(R + 1,)`` of each of these classes.
        labels: ``(N,)``, the class of each study.
        groups: the patient of each study.
    """
    return area_record(np.mean(list(areas), axis=0), [labels == index for index in np.unique(labels)], groups)


def perfect_auc_low(positives: int, negatives: int) -> float:
    """The lower end of the interval of an AUC of 1: method 5 of Newcombe (Statistics in Medicine 2006, 25:559).

    It is the smallest AUC whose distance from 1 is 1.96 of its standard errors, which are those of Hanley and McNeil
    with both kinds as if they were equally frequent.
    """
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    mean = (positives + negatives) / 2 - 1

    def excess(area: float) -> float:
        spread = 1 + mean * (1 - area) / (2 - area) + mean * area / (1 + area)
        return (1 - area) - z**2 * area * spread / (positives * negatives)  # both sides are divided by 1 - AUC

    return float(brentq(excess, 0.0, 1.0))


def flagged(scores: NDArray[np.floating], positive: NDArray[np.bool_], resamples: Resamples) -> tuple[Rows, Rows]:
    """How many positive and other studies each threshold flags, from the highest on: ``(R + 1, thresholds)``."""
    edges = np.unique(scores)
    if len(edges) > _MOST_THRESHOLDS:
        edges = np.unique(np.quantile(scores, np.linspace(0, 1, _MOST_THRESHOLDS), method="lower"))
    bins = len(edges) - np.searchsorted(edges, scores, side="right")  # 0: the highest scores
    tp = np.cumsum(resamples.histograms(bins, len(edges), positive), axis=1)
    fp = np.cumsum(resamples.histograms(bins, len(edges), ~positive), axis=1)
    return tp, fp


def shares(counts: Rows) -> Rows:
    """Cumulative counts as shares of the last one, from 0 on; NaN if a resample lacks this kind of study."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.hstack([np.zeros((len(counts), 1)), counts / counts[:, -1:]])


def area_under(tpr: Rows, fpr: Rows) -> Rows:
    """The areas ``(R + 1,)`` under curves of such shares."""
    return np.asarray((np.diff(fpr) * (tpr[:, 1:] + tpr[:, :-1]) / 2).sum(1))
