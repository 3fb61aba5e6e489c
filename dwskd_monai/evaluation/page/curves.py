"""ROC and precision-recall curves with bands, and the areas under them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from dwskd_monai.evaluation.areas import area_under, flagged, shares
from dwskd_monai.evaluation.resampling import Resamples, Rows, band

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
    tp, fp = flagged(scores, positive, resamples)
    tpr, fpr = shares(tp), shares(fp)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = tp / (tp + fp)
    auc = area_under(tpr, fpr)
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


def _precision_at(
    recalls: NDArray[np.float64], tpr: NDArray[np.float64], precision: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The precision at the highest threshold that reaches each recall."""
    if np.isnan(tpr[-1]):
        return np.full(len(recalls), np.nan)
    places = np.searchsorted(tpr, recalls - 1e-9)
    return np.asarray(precision[np.minimum(places, len(precision) - 1)])
