"""Intervals of metrics that take patients as wholes: images of one patient are not independent of each other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
_TAIL = (1 - CONFIDENCE) / 2
Groups = Sequence[Hashable]


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % interval.

    Args:
        value: from all images.
        low, high: the ends.
        n: number of images.
    """

    value: float
    low: float
    high: float
    n: int


def group_numbers(groups: Groups) -> NDArray[np.intp]:
    """Groups, such as patients, as numbers from 0: ``(N,)``."""
    return np.unique([str(group) for group in groups], return_inverse=True)[1]


def group_count(groups: Groups) -> int:
    """How many groups there are."""
    return len(set(map(str, groups)))


def groups_of(chosen: NDArray[np.bool_], groups: Groups) -> list[Hashable]:
    """The groups of the chosen images ``(N,)``, one for each of them."""
    return [group for group, use in zip(groups, chosen, strict=True) if use]


def too_few(groups: Groups) -> str:
    """What stands in place of a number.

    Examples:
        >>> too_few(["P1", "P2", "P3"])
        'too few (n = 3)'
        >>> too_few(["P1", "P1", "P2"])
        'too few (n = 3, of 2 patients)'
    """
    count = group_count(groups)
    of_patients = "" if count == len(groups) else f", of {count} patient{'s' if count > 1 else ''}"
    return f"too few (n = {len(groups)}{of_patients})"


def proportion_interval(hits: NDArray[np.bool_], groups: Groups) -> Interval:
    """A proportion with its exact interval: Clopper and Pearson 1934, with clusters as Korn and Graubard 1998.

    With several images of a patient, the interval is that of as many independent images as would estimate the
    proportion as precisely. A bootstrap would give an interval of no width if all images are hits.

    Args:
        hits: ``(N,)`` with N > 0.
        groups: of each image, its patient.

    Examples:
        >>> interval = proportion_interval(np.array([True] * 10), range(10))
        >>> round(interval.low, 3), interval.high
        (0.692, 1.0)
    """
    share = float(hits.mean())
    count = _effective_count(hits, group_numbers(groups))
    successes = share * count
    low = 0.0 if share == 0 else float(stats.beta.ppf(_TAIL, successes, count - successes + 1))
    high = 1.0 if share == 1 else float(stats.beta.ppf(1 - _TAIL, successes + 1, count - successes))
    return Interval(share, low, high, len(hits))


def mean_interval(values: NDArray[np.floating], groups: Groups) -> Interval:
    """A mean over images with its t interval, whose standard error takes groups as wholes (Liang and Zeger 1986).

    Args:
        values: ``(N,)``.
        groups: of each image, its patient; two or more patients.
    """
    members = group_numbers(groups)
    count = int(members.max()) + 1
    if count < 2:
        raise ValueError(f"an interval of a mean needs 2 groups or more, got {count}")
    mean = float(values.mean())
    half = float(stats.t.ppf(1 - _TAIL, count - 1)) * standard_error(values - mean, members) / len(values)
    return Interval(mean, mean - half, mean + half, len(values))


def standard_error(residuals: NDArray[np.floating], members: NDArray[np.intp]) -> float:
    """The standard error of a sum of residuals whose mean is 0; those of one group may depend on each other."""
    sums = np.bincount(members, weights=residuals)
    return float(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)))


def _effective_count(hits: NDArray[np.bool_], members: NDArray[np.intp]) -> float:
    """How many independent images tell as much about the share of hits."""
    count = len(hits)
    groups = int(members.max()) + 1
    if groups == count:
        return float(count)
    share = float(hits.mean())
    if groups == 1 or share in (0, 1):
        return float(groups)
    error = standard_error(hits - share, members) / count
    if error == 0:
        return float(count)
    few_groups = float((stats.t.ppf(1 - _TAIL, count - 1) / stats.t.ppf(1 - _TAIL, groups - 1)) ** 2)
    return min(float(count), share * (1 - share) / error**2 * few_groups)
