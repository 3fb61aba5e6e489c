from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dwskd_monai.commands.compare.statistics import differences, estimate, half_width, runs_needed
from tests.commands.compare.tables import runs


def test_the_interval_is_that_of_a_hand_computed_case():
    # mean 4, squared deviations 4 + 0 + 4, variance 8 / 2, t(0.975, 2) = 4.302653: 4.302653 * 2 / sqrt(3)
    found = estimate([2.0, 4.0, 6.0])
    assert (found.mean, found.deviation, found.runs) == (4.0, 2.0, 3)
    assert found.half_width == pytest.approx(4.968275, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((4 - 4.968275, 4 + 4.968275), abs=1e-6)


def test_a_long_table_of_t_is_not_needed_for_many_runs():
    # t(0.975, 24) = 2.063899, deviation 0.1, 25 runs
    assert half_width(0.1, 25) == pytest.approx(2.063899 * 0.1 / 5, abs=1e-7)


def test_the_interval_agrees_with_scipys_own():
    values = np.random.default_rng(0).normal(size=7)
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = estimate(values.tolist())
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_one_run_has_a_mean_and_no_interval():
    found = estimate([0.5])
    assert found.mean == 0.5
    assert math.isnan(found.half_width)
    assert math.isnan(found.deviation)


def test_values_that_are_not_defined_are_left_out():
    assert estimate([1.0, math.nan, 3.0]) == estimate([1.0, 3.0])
    assert estimate([math.nan]).runs == 0


@pytest.mark.parametrize(
    ("deviation", "wanted", "needed"),
    [
        (0.0, 0.01, 2),
        # t(0.975, 1) = 12.706, so 2 runs have 12.706 / sqrt(2) = 8.98 deviations, 3 have 4.303 / sqrt(3) = 2.48
        (1.0, 9.0, 2),
        (1.0, 8.9, 3),
        (1.0, 2.49, 3),
        (1.0, 2.48, 4),
        (2**0.5, 0.015, 34149),  # two pairs that are as far apart as can be, 1 and -1: t is 1.96003
        (0.04, 0.015, 30),  # t(0.975, 29) = 2.045: 0.01494; t(0.975, 28) = 2.048: 0.01521
    ],
)
def test_runs_needed(deviation, wanted, needed):
    assert runs_needed(deviation, wanted) == needed


def test_no_number_of_runs_has_an_interval_of_no_width():
    with pytest.raises(ValueError, match="greater than 0"):
        runs_needed(1, 0)


def test_differences_are_of_whole_pairs_only():
    table = runs(
        ("a", 1.0, 0, 0.5), ("b", 1.0, 0, 0.7), ("a", 0.1, 0, 0.3), ("b", 0.1, 0, 0.2), ("b", 1.0, 1, 0.9),
        ("a", 1.0, 2, 0.1),
    )  # fmt: skip
    found = differences(table, "b", "a", "balanced_accuracy")
    assert found.to_dict() == pytest.approx({(1.0, 0, 0): 0.2, (0.1, 0, 0): -0.1})
