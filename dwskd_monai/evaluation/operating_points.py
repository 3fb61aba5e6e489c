"""Operating points: the probability from which a study is said to be of a class."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from dwskd_monai.evaluation.calibration import FOLDS
from dwskd_monai.evaluation.intervals import Groups, Interval, group_count, group_numbers, proportion_interval, too_few

LEAST_PATIENTS = 10  # with the class, and with another one
YOUDEN = "youden"
_TARGET = re.compile(r"(sensitivity|specificity)\s*>=\s*([0-9.]+)")
Scores = NDArray[np.floating]
Flags = NDArray[np.bool_]


class UnreachableError(ValueError):
    """No threshold does what the rule asks for."""


@dataclass(frozen=True)
class Rule:
    """Which threshold is chosen.

    Args:
        kind: ``youden``: the largest sensitivity + specificity (Youden 1950); ``sensitivity`` or ``specificity``: the
            largest value of the other one, if this one reaches the target.
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
    of_class = [group for group, is_positive in zip(groups, positive, strict=True) if is_positive]
    if group_count(of_class) < LEAST_PATIENTS:
        return OperatingPoint(None, count, others, too_few(of_class))
    of_others = [group for group, is_positive in zip(groups, positive, strict=True) if not is_positive]
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

    It is midway between two scores, so that rounding changes nothing. Of several that are as good by Youden's rule, it
    is the one with the larger of the smaller rate, then the one nearest to 0.5: for two classes, the thresholds of both
    then divide the studies in the same way.

    Raises:
        UnreachableError: if only a threshold that takes all studies, or none, does what the rule asks for.
    """
    values = np.unique(scores)
    between = (values[:-1] + values[1:]) / 2
    sensitivity = _share_from(scores[positive], between)
    specificity = 1 - _share_from(scores[~positive], between)
    if rule.kind == YOUDEN:
        total = np.round(sensitivity + specificity, 12)
        if not len(between) or total.max() <= 1:
            raise UnreachableError("no threshold is better than chance")
        smaller = np.round(np.minimum(sensitivity, specificity), 12)
        order = np.lexsort((np.abs(between - 0.5), -smaller, -total))
        return float(between[order[0]])
    if rule.kind == "sensitivity":
        reached = between[np.round(sensitivity, 12) >= rule.target]
        if not len(reached):
            raise UnreachableError(f"{rule} is reached only if each study is said to be of the class")
        return float(reached[-1])
    reached = between[np.round(specificity, 12) >= rule.target]
    if not len(reached):
        raise UnreachableError(f"{rule} is reached only if no study is said to be of the class")
    return float(reached[0])


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
