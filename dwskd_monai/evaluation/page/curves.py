"""ROC and precision-recall curves with bands, and the areas under them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score, roc_auc_score

from dwskd_monai.evaluation.intervals import CONFIDENCE, Groups, group_count, groups_of
from dwskd_monai.evaluation.measuring import Measured
from dwskd_monai.evaluation.page.resampling import Resamples, Rows, band, record

_MOST_THRESHOLDS = 500  # of the resamples; the numbers of all studies use each score
_GRID = np.linspace(0, 1, 51)


@dataclass(frozen=True)
class Curve:
    """A curve with its pointwise 95 % band.

    Args:
        x, y: points of the curve of all studies.
        grid, low, high: the band.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    grid: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class ClassCurves:
    """The curves of a class against all others.

    Args:
        auc, average_precision: ``(R + 1,)``, of all studies and of each resample.
        roc: the share of other studies that are flagged, and the sensitivity.
        precision_recall: the sensitivity, and the share of flagged studies that are of the class.
    """

    auc: Rows
    average_precision: Rows
    roc: Curve
    precision_recall: Curve


def class_curves(scores: NDArray[np.floating], positive: NDArray[np.bool_], resamples: Resamples) -> ClassCurves:
    """Both curves, whose thresholds are the scores; more than 500 different scores are put into 500 bins.

    Args:
        scores: ``(N,)``, the probability of the class.
        positive: ``(N,)``, whether a study is of the class; both kinds must occur.
        resamples: of the patients.
    """
    tp, fp = _flagged(scores, positive, resamples)
    tpr, fpr = _shares(tp), _shares(fp)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = tp / (tp + fp)
    auc = _area(tpr, fpr)
    steps = np.diff(tpr)
    average_precision = np.where(np.isnan(tpr[:, -1]), np.nan, np.nansum(steps * precision, axis=1))
    auc[0] = roc_auc_score(positive, scores)
    average_precision[0] = average_precision_score(positive, scores)
    roc_rows = np.stack([np.interp(_GRID, *pair) for pair in zip(fpr, tpr, strict=True)])
    recalls = _GRID[1:]
    precision_rows = np.stack([_precision_at(recalls, *pair) for pair in zip(tpr[:, 1:], precision, strict=True)])
    return ClassCurves(
        auc,
        average_precision,
        Curve(fpr[0], tpr[0], _GRID, *band(roc_rows)),
        Curve(tpr[0, 1:], precision[0], recalls, *band(precision_rows)),
    )


def auc_rows(scores: NDArray[np.floating], positive: NDArray[np.bool_], resamples: Resamples) -> Rows:
    """The AUC of :func:`class_curves` alone: ``(R + 1,)``."""
    tp, fp = _flagged(scores, positive, resamples)
    auc = _area(_shares(tp), _shares(fp))
    auc[0] = roc_auc_score(positive, scores)
    return auc


def _flagged(scores: NDArray[np.floating], positive: NDArray[np.bool_], resamples: Resamples) -> tuple[Rows, Rows]:
    """How many positive and other studies each threshold flags, from the highest on: ``(R + 1, thresholds)``."""
    edges = np.unique(scores)
    if len(edges) > _MOST_THRESHOLDS:
        edges = np.unique(np.quantile(scores, np.linspace(0, 1, _MOST_THRESHOLDS), method="lower"))
    bins = len(edges) - np.searchsorted(edges, scores, side="right")  # 0: the highest scores
    tp = np.cumsum(resamples.histograms(bins, len(edges), positive), axis=1)
    fp = np.cumsum(resamples.histograms(bins, len(edges), ~positive), axis=1)
    return tp, fp


def _shares(counts: Rows) -> Rows:
    """Cumulative counts as shares of the last one, from 0 on; NaN if a resample lacks this kind of study."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.hstack([np.zeros((len(counts), 1)), counts / counts[:, -1:]])


def _area(tpr: Rows, fpr: Rows) -> Rows:
    area: Rows = (np.diff(fpr) * (tpr[:, 1:] + tpr[:, :-1]) / 2).sum(1)
    return area


def _precision_at(
    recalls: NDArray[np.float64], tpr: NDArray[np.float64], precision: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The precision at the highest threshold that reaches each recall."""
    if np.isnan(tpr[-1]):
        return np.full(len(recalls), np.nan)
    places = np.searchsorted(tpr, recalls - 1e-9)
    return np.asarray(precision[np.minimum(places, len(precision) - 1)])


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
