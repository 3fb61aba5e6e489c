"""Means, paired differences and their intervals, and how many runs an interval needs."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95
PAIR = ("fraction", "fold", "seed")


@dataclass(frozen=True)
class Estimate:
    """A mean with its confidence interval.

    Args:
        mean: of the runs.
        half_width: half the width of Student's 95 % interval; NaN for fewer than two runs.
        deviation: standard deviation of the runs (n - 1); NaN for fewer than two.
        runs: how many.
    """

    mean: float
    half_width: float
    deviation: float
    runs: int

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.mean + self.half_width


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % interval of runs, by Student's t.

    The runs of a grid share images: the training images of folds overlap, and those of seeds are the same. The interval
    is for the mean over further folds and seeds of these images, not for other images.

    Args:
        values: one for each run; NaN is left out.
    """
    known = np.asarray([value for value in values if not math.isnan(value)], dtype=float)
    runs = len(known)
    if runs == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    deviation = float(known.std(ddof=1)) if runs > 1 else math.nan
    return Estimate(float(known.mean()), half_width(deviation, runs), deviation, runs)


def half_width(deviation: float, runs: int) -> float:
    """Half the width of Student's 95 % interval of a mean; NaN for fewer than two runs."""
    if runs < 2:
        return math.nan
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, runs - 1)) * deviation / math.sqrt(runs)


def runs_needed(deviation: float, wanted: float) -> int:
    """The smallest number of runs whose interval is at most ± ``wanted``.

    Raises:
        ValueError: if ``wanted`` is not greater than 0.
    """
    if not wanted > 0:
        raise ValueError(f"the wanted half width must be greater than 0, got {wanted}")
    most = 2
    while half_width(deviation, most) > wanted:
        most *= 2
    return bisect_left(range(most), True, lo=2, key=lambda runs: half_width(deviation, runs) <= wanted)


def differences(table: pd.DataFrame, method: str, baseline: str, metric: str) -> pd.Series:
    """``method`` minus ``baseline`` for each pair: the same fraction, fold and seed.

    Args:
        table: results, one row per run.
        method, baseline: names in the column ``method``.
        metric: a column.

    Returns:
        Differences of complete pairs, indexed by fraction, fold and seed.
    """
    return (by_pair(table, method, metric) - by_pair(table, baseline, metric)).dropna()


def by_pair(table: pd.DataFrame, method: str, column: str) -> pd.Series:
    """A column of one method's runs, indexed by what makes two runs a pair: fraction, fold and seed."""
    return table[table["method"] == method].set_index(list(PAIR))[column]
