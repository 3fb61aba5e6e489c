"""The temperature of a classifier, and how well its probabilities are calibrated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize_scalar
from sklearn.model_selection import GroupKFold

from dwskd_monai.evaluation.aggregation import Probabilities
from dwskd_monai.evaluation.evidence import tempered
from dwskd_monai.evaluation.intervals import (
    CONFIDENCE,
    Groups,
    Interval,
    group_count,
    group_numbers,
    mean_interval,
    standard_error,
    too_few,
)

LEAST_PATIENTS = 30
FOLDS = 5
_BOUNDS = (0.1, 10.0)  # of a temperature; one at the bound is not determined by the images
_MOST_BINS = 10
_LEAST_IN_BIN = 10
_DRAWS = 1000
_AT_A_TIME = 100  # draws, which bounds the memory for them
Labels = NDArray[np.integer]


@dataclass(frozen=True)
class CalibrationError:
    """An expected calibration error beside that of chance.

    Args:
        value: of the studies.
        n: their number.
        chance_low, chance_high: the errors of 95 of 100 classifiers with the same probabilities, if these are right and
            the studies independent.
    """

    value: float
    n: int
    chance_low: float
    chance_high: float


@dataclass(frozen=True)
class Temperature:
    """A temperature, and what it changes for patients that did not fit it.

    Args:
        value: 1 if it could not be fitted.
        n: number of studies.
        reason: why it could not be fitted, or is not used.
        interval: of the temperature.
        log_loss: its mean over the studies before.
        log_loss_change: what is added to it; negative: better.
        overconfidence, overconfidence_after: mean probability of the predicted class, less the share of right ones.
        ece, ece_after: expected calibration errors.
    """

    value: float
    n: int
    reason: str | None = None
    interval: Interval | None = None
    log_loss: Interval | None = None
    log_loss_change: Interval | None = None
    overconfidence: Interval | None = None
    overconfidence_after: Interval | None = None
    ece: CalibrationError | None = None
    ece_after: CalibrationError | None = None


def fit_temperature(probabilities: Probabilities, labels: Labels, groups: Groups) -> Temperature:
    """The temperature with the smallest log loss.

    What it changes is measured by cross-fitting: the temperature of a patient is fitted on other patients. It is used
    only if the log loss falls in this way.

    Args:
        probabilities: ``(N, K)`` of studies.
        labels: ``(N,)``, indices of their classes.
        groups: their patients.
    """
    count = len(labels)
    if group_count(groups) < LEAST_PATIENTS:
        return Temperature(1.0, count, too_few(groups))
    if (probabilities.argmax(1) == labels).all():
        return Temperature(1.0, count, "each study is predicted correctly, which does not determine a temperature")
    value = best_temperature(probabilities, labels)
    if not _BOUNDS[0] * 1.01 < value < _BOUNDS[1] / 1.01:
        return Temperature(1.0, count, f"not determined: the best one is at the bound {value:.3g}")
    crossed = cross_fitted(probabilities, labels, groups)
    before = log_losses(probabilities, labels)
    changes = log_losses(crossed, labels) - before
    helps = changes.mean() < 0
    return Temperature(
        value if helps else 1.0,
        count,
        None if helps else f"a temperature of {value:.3g} would not lower the log loss of other patients",
        temperature_interval(probabilities, labels, groups, value),
        mean_interval(before, groups),
        mean_interval(changes, groups),
        overconfidence(probabilities, labels, groups),
        overconfidence(crossed, labels, groups),
        calibration_error(probabilities, labels),
        calibration_error(crossed, labels),
    )


def best_temperature(probabilities: Probabilities, labels: Labels) -> float:
    """The temperature with the smallest log loss, between 0.1 and 10."""

    def loss(log_temperature: float) -> float:
        return float(log_losses(tempered(probabilities, float(np.exp(log_temperature))), labels).mean())

    found = minimize_scalar(loss, bounds=np.log(_BOUNDS), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def cross_fitted(probabilities: Probabilities, labels: Labels, groups: Groups) -> Probabilities:
    """Calibrated probabilities of each patient by the temperature of others."""
    result = np.empty_like(probabilities)
    for fitting, kept in GroupKFold(FOLDS).split(probabilities, labels, group_numbers(groups)):
        temperature = best_temperature(probabilities[fitting], labels[fitting])
        result[kept] = tempered(probabilities[kept], temperature)
    return result


def log_losses(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """The log loss ``(N,)`` of each study; ``sklearn.metrics.log_loss`` gives only their mean."""
    of_label = probabilities[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.maximum(of_label, np.finfo(np.float64).eps)))


def temperature_interval(probabilities: Probabilities, labels: Labels, groups: Groups, temperature: float) -> Interval:
    """The interval of a fitted temperature, by the sandwich estimator with patients as clusters (White 1982).

    The log loss is convex in b = 1/T. With z = log p and the calibrated probabilities q, the slope of a study's log
    loss is E_q[z] - z_label, and its curvature Var_q[z]. The interval is symmetric for log T.
    """
    scores = np.log(np.maximum(probabilities, np.finfo(np.float64).eps))
    calibrated = tempered(probabilities, temperature)
    means = (calibrated * scores).sum(1)
    slopes = means - scores[np.arange(len(labels)), labels]
    curvature = float((calibrated * (scores - means[:, None]) ** 2).sum())
    error = standard_error(slopes, group_numbers(groups)) / curvature
    factor = float(np.exp(stats.norm.ppf((1 + CONFIDENCE) / 2) * error * temperature))
    return Interval(temperature, temperature / factor, temperature * factor, len(labels))


def overconfidence(probabilities: Probabilities, labels: Labels, groups: Groups) -> Interval:
    """How much larger the mean probability of the predicted class is than the share of right predictions."""
    return mean_interval(probabilities.max(1) - (probabilities.argmax(1) == labels), groups)


def bins_of(scores: NDArray[np.floating]) -> NDArray[np.intp]:
    """The bin ``(N,)`` of each score: bins of equal numbers, 10 or more scores each, at most 10 bins."""
    count = min(_MOST_BINS, max(1, len(scores) // _LEAST_IN_BIN))
    edges = np.quantile(scores, np.linspace(0, 1, count + 1)[1:-1])
    return np.searchsorted(edges, scores)


def calibration_error(probabilities: Probabilities, labels: Labels, seed: int = 0) -> CalibrationError:
    """The expected calibration error (Naeini et al., AAAI 2015): how far confidence is from the share of right ones.

    The confidence is the probability of the predicted class, by which studies are put into :func:`bins_of`. A bootstrap
    gives no interval of it: the error of resamples is larger than that of the studies. So it is compared with the error
    that chance alone makes (consistency resampling, Bröcker and Smith 2007). MONAI's ``CalibrationErrorMetric`` takes
    voxels, in bins of equal width.
    """
    confidence = probabilities.max(1)
    of_bin = (bins_of(confidence)[:, None] == np.arange(_MOST_BINS)).astype(float)

    def errors(right: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(np.abs((confidence - right) @ of_bin).sum(-1) / len(labels))

    random = np.random.default_rng(seed)
    drawn = [errors(random.random((_AT_A_TIME, len(labels))) < confidence) for _ in range(_DRAWS // _AT_A_TIME)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(drawn), (tail, 1 - tail))
    value = float(errors(probabilities.argmax(1) == labels))
    return CalibrationError(value, len(labels), float(low), float(high))
