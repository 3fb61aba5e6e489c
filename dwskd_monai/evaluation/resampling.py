"""Patients drawn again and again, with replacement: how much a number could have been different."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.intervals import CONFIDENCE, Groups, group_count, group_numbers, groups_of, too_few
from dwskd_monai.evaluation.measuring import LEAST_PATIENTS, Measured

RESAMPLES = 2000
_AT_A_TIME = 250  # resamples, which bounds the memory for their weights as floating-point numbers
_DIGITS = 6
_TAIL = (1 - CONFIDENCE) / 2
Rows = NDArray[np.float64]  # (R + 1, ...): of all studies, then of each resample


class Resamples:
    """A cluster bootstrap (Field and Welsh 2007) that sums over the studies of each patient once.

    The sums of each patient are weighed, so that a resample of many numbers is one product of matrices; and all numbers
    share their resamples, so that their means and differences have intervals too.

    Args:
        groups: the patient of each study.
        count: number of resamples.
        seed: of the resamples.

    Examples:
        >>> resamples = Resamples(["P1", "P1", "P2"], count=4)
        >>> resamples.totals(np.array([[1.0], [2.0], [4.0]]))[0].tolist()  # of all studies
        [7.0]
    """

    def __init__(self, groups: Groups, count: int = RESAMPLES, seed: int = 0) -> None:
        self._members = group_numbers(groups)
        self._groups = int(self._members.max()) + 1
        equal = np.full(self._groups, 1 / self._groups)
        drawn = np.random.default_rng(seed).multinomial(self._groups, equal, count)  # how often each patient is drawn
        self._weights = np.vstack([np.ones((1, self._groups), drawn.dtype), drawn]).astype(np.uint16)

    def totals(self, values: NDArray[Any]) -> Rows:
        """Sums ``(R + 1, K)`` of values ``(N, K)`` over the studies."""
        sums = np.zeros((self._groups, values.shape[1]))
        np.add.at(sums, self._members, values)
        return self._weighted(sums)

    def histograms(self, bins: NDArray[np.integer], count: int, chosen: NDArray[np.bool_]) -> Rows:
        """How many of the chosen studies are in each of ``count`` bins: ``(R + 1, count)``."""
        places = self._members[chosen] * count + bins[chosen]
        sums = np.bincount(places, minlength=self._groups * count).reshape(self._groups, count)
        return self._weighted(sums)

    def _weighted(self, sums: NDArray[Any]) -> Rows:
        parts = []
        for start in range(0, len(self._weights), _AT_A_TIME):
            weights = self._weights[start : start + _AT_A_TIME].astype(np.float32)
            parts.append(weights @ sums.astype(np.float32))  # counts are exact up to 16 million
        return np.concatenate(parts).astype(np.float64)


def band(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends of the percentile intervals of ``(R + 1, K)``; NaN if more than half of the resamples are undefined."""
    resampled = rows[1:]
    low = np.full(rows.shape[1], np.nan)
    high = low.copy()
    defined = np.isfinite(resampled).mean(0) > 0.5
    if defined.any():
        low[defined], high[defined] = np.nanquantile(resampled[:, defined], (_TAIL, 1 - _TAIL), axis=0)
    return low, high


def record(rows: Rows, count: int) -> Measured:
    """A number with its percentile interval, from ``(R + 1,)``.

    A number without an interval says why: if all resamples give the same number, as for a class without any error, the
    bootstrap cannot tell how far the number may be off.
    """
    value = float(rows[0])
    if not math.isfinite(value):
        return "undefined (division by 0)"
    ordered = np.sort(rows[1:][~np.isnan(rows[1:])])  # infinite ones count, so that a ratio may have no upper limit
    if not len(ordered):
        return "undefined (division by 0)"
    low = float(np.quantile(ordered, _TAIL, method="inverted_cdf"))
    high = float(np.quantile(ordered, 1 - _TAIL, method="inverted_cdf"))
    number: dict[str, Any] = {"value": round(value, _DIGITS), "low": None, "high": None, "n": count}
    if low == high:
        return number | {"reason": "no interval: all resamples agree"}
    number["low"] = round(low, _DIGITS)
    number["high"] = round(high, _DIGITS) if math.isfinite(high) else None
    return number if math.isfinite(high) else number | {"reason": "no upper limit"}


def lacking(positive: NDArray[np.bool_], groups: Groups) -> str | None:
    """Words in place of a number that compares a class with the others, if one of both has too few patients."""
    of_class = groups_of(positive, groups)
    if group_count(of_class) < LEAST_PATIENTS:
        return too_few(of_class)
    others = groups_of(~positive, groups)
    if group_count(others) < LEAST_PATIENTS:
        return f"{too_few(others)} of other classes"
    return None
