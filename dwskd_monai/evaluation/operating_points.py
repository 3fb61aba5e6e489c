"""Operating points: the probability from which a study is said to be of a class."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, ndtr
from sklearn.model_selection import StratifiedGroupKFold

from dwskd_monai.evaluation.calibration import FOLDS
from dwskd_monai.evaluation.intervals import (
    Groups,
    Interval,
    group_count,
    group_numbers,
    groups_of,
    proportion_interval,
    too_few,
)

LEAST_PATIENTS = 10  # with the class, and with another one
YOUDEN = "youden"
_MOST_THRESHOLDS = 202  # that Youden's rule compares: at most 1 of 100 studies lies between two of them
_LEAST_BANDWIDTH = 1e-6  # of scores that are all alike
_TARGET = re.compile(r"(sensitivity|specificity)\s*>=\s*([0-9.]+)")
Scores = NDArray[np.floating]
Flags = NDArray[np.bool_]


class UnreachableError(ValueError):
    """No threshold does what the rule asks for."""


@dataclass(frozen=True)
class Rule:
    """Which threshold is chosen.

    Args:
        kind: ``youden``: the largest sensitivity + specificity (Youden 1950), smoothed; ``sensitivity`` or
            ``specificity``: the largest value of the other one, if this one reaches the target.
        target: above 0, at most 1; 0 for ``youden``.

    Examples:
        >>> Rule.of("sensitivity >= 0.95")
        Rule(kind='sensitivity', target=0.95)
    """

    kind: str
    target: float = 0.0

    @classmethod
    def of(cls, text: str) -> Rule:
        """The rule that a text says.

        Raises:
            ValueError: if it says none.
        """
        words = str(text).strip().lower()
        if words == YOUDEN:
            return cls(YOUDEN)
        match = _TARGET.fullmatch(words)
        try:
            target = float(match[2]) if match else 0.0
        except ValueError:  # such as 0.9.5
            target = 0.0
        if match is None or not 0 < target <= 1:
            raise ValueError(
                "operating_point: expected youden, sensitivity>=TARGET or specificity>=TARGET with a target above 0 "
                f"and at most 1, such as sensitivity>=0.95; got {text!r}"
            )
        return cls(match[1], target)

    def __str__(self) -> str:
        return YOUDEN if self.kind == YOUDEN else f"{self.kind}>={self.target:g}"


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold of a class, and what it does for patients that did not choose it.

    Args:
        threshold: None if there is none.
        n: number of studies of the class.
        n_others: number of studies of other classes.
        reason: why there is no threshold.
        sensitivity: share of the class's studies that reach the threshold.
        specificity: share of the other studies that do not reach it.
    """

    threshold: float | None
    n: int
    n_others: int
    reason: str | None = None
    sensitivity: Interval | None = None
    specificity: Interval | None = None


def fit_operating_point(scores: Scores, positive: Flags, groups: Groups, rule: Rule) -> OperatingPoint:
    """The threshold of a class against all others.

    Its sensitivity and specificity are measured by cross-fitting: the threshold of a patient is chosen on others.

    Args:
        scores: ``(N,)``, the probability of the class.
        positive: ``(N,)``, whether a study is of the class.
        groups: patients.
        rule: which threshold is chosen.
    """
    count = int(positive.sum())
    others = len(positive) - count
    of_class = groups_of(positive, groups)
    if group_count(of_class) < LEAST_PATIENTS:
        return OperatingPoint(None, count, others, too_few(of_class))
    of_others = groups_of(~positive, groups)
    if group_count(of_others) < LEAST_PATIENTS:
        return OperatingPoint(None, count, others, f"{too_few(of_others)} of other classes")
    members = group_numbers(groups)
    try:
        threshold = choose_threshold(scores, positive, rule)
        flagged = cross_fitted(scores, positive, members, rule)
    except UnreachableError as error:
        return OperatingPoint(None, count, others, str(error))
    return OperatingPoint(threshold, count, others, None, *rates(flagged, positive, groups))


def rates(flagged: Flags, positive: Flags, groups: Groups) -> tuple[Interval, Interval]:
    """Sensitivity and specificity; both kinds of studies must occur."""
    members = group_numbers(groups)
    sensitivity = proportion_interval(flagged[positive], members[positive].tolist())
    return sensitivity, proportion_interval(~flagged[~positive], members[~positive].tolist())


def choose_threshold(scores: Scores, positive: Flags, rule: Rule) -> float:
    """The threshold that a rule chooses: studies with a score of at least this are of the class.

    It is midway between two scores, so that rounding changes nothing. By Youden's rule, the thresholds of two classes
    divide the studies in the same way.

    Raises:
        UnreachableError: if only a threshold that takes all studies, or none, does what the rule asks for.
    """
    values = np.unique(scores)
    between = (values[:-1] + values[1:]) / 2
    sensitivity = _share_from(scores[positive], between)
    specificity = 1 - _share_from(scores[~positive], between)
    if rule.kind == YOUDEN:
        chosen = _smooth_youden(scores, positive, between) if len(between) else 0
        if not len(between) or sensitivity[chosen] + specificity[chosen] <= 1:
            raise UnreachableError("no threshold is better than chance")
        return float(between[chosen])
    if rule.kind == "sensitivity":
        reached = between[np.round(sensitivity, 12) >= rule.target]
        if not len(reached):
            raise UnreachableError(f"{rule} is reached only if each study is said to be of the class")
        return float(reached[-1])
    reached = between[np.round(specificity, 12) >= rule.target]
    if not len(reached):
        raise UnreachableError(f"{rule} is reached only if no study is said to be of the class")
    return float(reached[0])


def _smooth_youden(scores: Scores, positive: Flags, between: Scores) -> int:
    """Which threshold has the largest sum of both rates, from kernel estimates of the scores' distributions.

    The sum of the rates that were counted has many maxima that chance makes, and the threshold of other patients would
    be far from that of all: with 600 simulated studies, 80 of 100 intervals would hold the rates of new patients. With
    normal kernels on the log odds and Silverman's bandwidth (Fluss, Faraggi and Reiser, Biometrical Journal 2005) 93 to
    96 do, and the threshold is nearer to the best one.
    """
    half = np.floor(np.linspace(0, (len(between) - 1) / 2, _MOST_THRESHOLDS // 2)).astype(int)
    tried = np.unique(np.concatenate([half, len(between) - 1 - half]))
    odds = _log_odds(between[tried])[:, None]
    total = np.zeros(len(tried))
    for kind, sign in ((~positive, 1), (positive, -1)):
        of_kind = _log_odds(scores[kind])
        total += sign * ndtr((odds - of_kind) / _bandwidth(of_kind)).mean(1)
    order = np.lexsort((np.abs(between[tried] - 0.5), -np.round(total, 12)))
    return int(tried[order[0]])


def _log_odds(scores: Scores) -> NDArray[np.float64]:
    smallest = np.finfo(np.float64).eps
    return np.asarray(logit(np.clip(scores, smallest, 1 - smallest)))


def _bandwidth(values: NDArray[np.float64]) -> float:
    """Silverman's rule of thumb."""
    if len(values) < 2:
        return _LEAST_BANDWIDTH
    deviation = float(values.std(ddof=1))
    quartiles = float(np.subtract(*np.quantile(values, (0.75, 0.25)))) / 1.34
    spread = min(deviation, quartiles) if quartiles > 0 else deviation
    return max(0.9 * spread * len(values) ** -0.2, _LEAST_BANDWIDTH)


def cross_fitted(scores: Scores, positive: Flags, members: NDArray[np.intp], rule: Rule) -> Flags:
    """Which studies reach the threshold that was chosen on other patients.

    Raises:
        UnreachableError: if the rule chooses none there.
    """
    flagged = np.zeros(len(scores), dtype=bool)
    for fitting, kept in StratifiedGroupKFold(FOLDS).split(scores, positive, members):
        flagged[kept] = scores[kept] >= choose_threshold(scores[fitting], positive[fitting], rule)
    return flagged


def _share_from(scores: Scores, thresholds: NDArray[np.floating]) -> NDArray[np.float64]:
    """The share of scores that are at least each threshold."""
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return np.asarray((len(scores) - below) / len(scores))
