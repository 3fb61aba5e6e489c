"""How often it is right to say, or not to say, that a study is of a class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.intervals import Groups
from dwskd_monai.evaluation.measuring import Measured, share
from dwskd_monai.evaluation.resampling import Resamples, Rows, lacking, record

Flags = NDArray[np.bool_]
PREVALENCES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


def outcomes(flagged: Flags, positive: Flags, resamples: Resamples) -> Rows:
    """True positives, false positives, false negatives and true negatives: ``(R + 1, 4)``."""
    kinds = (flagged & positive, flagged & ~positive, ~flagged & positive, ~flagged & ~positive)
    return resamples.totals(np.stack(kinds, axis=1))


def _sensitivity(tp: Rows, fp: Rows, fn: Rows, tn: Rows) -> Rows:
    return tp / (tp + fn)


def _specificity(tp: Rows, fp: Rows, fn: Rows, tn: Rows) -> Rows:
    return tn / (tn + fp)


def _ppv(tp: Rows, fp: Rows, fn: Rows, tn: Rows) -> Rows:
    return tp / (tp + fp)


def _npv(tp: Rows, fp: Rows, fn: Rows, tn: Rows) -> Rows:
    return tn / (tn + fn)


def _f1(tp: Rows, fp: Rows, fn: Rows, tn: Rows) -> Rows:
    return 2 * tp / (2 * tp + fp + fn)


def _lr_positive(tp: Rows, fp: Rows, fn: Rows, tn: Rows) -> Rows:
    return (tp / (tp + fn)) / (fp / (fp + tn))


def _lr_negative(tp: Rows, fp: Rows, fn: Rows, tn: Rows) -> Rows:
    return (fn / (tp + fn)) / (tn / (fp + tn))


RATES: dict[str, Callable[[Rows, Rows, Rows, Rows], Rows]] = {
    "sensitivity": _sensitivity,
    "specificity": _specificity,
    "ppv": _ppv,
    "npv": _npv,
    "f1": _f1,
    "lr_positive": _lr_positive,
    "lr_negative": _lr_negative,
}
LABELS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "lr_positive": "LR+",
    "lr_negative": "LR−",
}
_MACRO = ("sensitivity", "specificity", "ppv", "npv", "f1")


def class_rates(flagged: Flags, positive: Flags, groups: Groups, resamples: Resamples) -> dict[str, Measured]:
    """The rates of a class; shares have exact intervals, F1 and the likelihood ratios those of the bootstrap.

    Args:
        flagged: ``(N,)``, whether a study is said to be of the class.
        positive: ``(N,)``, whether it is.
        groups: the patient of each study.
        resamples: of these patients.
    """
    rates = {
        "sensitivity": share(flagged, positive, groups),
        "specificity": share(~flagged, ~positive, groups),
        "ppv": share(positive, flagged, groups),
        "npv": share(~positive, ~flagged, groups),
    }
    reason = lacking(positive, groups)
    table = outcomes(flagged, positive, resamples).T
    for name in ("f1", "lr_positive", "lr_negative"):
        with np.errstate(divide="ignore", invalid="ignore"):
            rows = RATES[name](*table)
        rates[name] = reason or record(rows, len(positive))
    return rates


def macro_rows(predicted: NDArray[np.integer], labels: NDArray[np.integer], resamples: Resamples) -> dict[str, Rows]:
    """The means of the rates over the classes that occur, each ``(R + 1,)``; NaN where one of them is undefined."""
    of_class: dict[str, list[Rows]] = {name: [] for name in _MACRO}
    for index in np.unique(labels):
        table = outcomes(predicted == index, labels == index, resamples).T
        for name in _MACRO:
            with np.errstate(divide="ignore", invalid="ignore"):
                of_class[name].append(RATES[name](*table))
    return {name: np.mean(rows, axis=0) for name, rows in of_class.items()}


def predictive_values(
    flagged: Flags, positive: Flags, resamples: Resamples, prevalences: NDArray[np.floating]
) -> tuple[Rows, Rows]:
    """PPV and NPV ``(R + 1, P)`` where a share of the studies other than here is of the class (Bayes' theorem)."""
    tp, fp, fn, tn = outcomes(flagged, positive, resamples).T[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
        right, wrong = sensitivity * prevalences, (1 - specificity) * (1 - prevalences)
        missed, spared = (1 - sensitivity) * prevalences, specificity * (1 - prevalences)
        return right / (right + wrong), spared / (spared + missed)
