"""Intervals: the value is that of scikit-learn or scipy, and 95 of 100 intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp

from dwskd_monai.evaluation.intervals import mean_interval, proportion_interval


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (3, 10), (10, 10), (57, 60), (1, 1)])
def test_a_proportion_of_independent_images_has_the_exact_interval_of_scipy(hits, count):
    interval = proportion_interval(np.arange(count) < hits, range(count))
    exact = binomtest(hits, count).proportion_ci(method="exact")
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high))
    assert (interval.value, interval.n) == (hits / count, count)


def test_a_proportion_of_images_that_are_alike_is_that_of_the_patients():
    hits = np.arange(30) % 3 == 0
    of_patients = proportion_interval(hits, range(30))
    repeated = proportion_interval(hits.repeat(10), np.arange(30).repeat(10).tolist())
    as_if_independent = proportion_interval(hits.repeat(10), range(300))
    width = of_patients.high - of_patients.low
    assert repeated.high - repeated.low == pytest.approx(width, rel=0.1)
    assert as_if_independent.high - as_if_independent.low < width / 2
    all_hits = proportion_interval(np.ones(40, bool), (np.arange(40) // 4).tolist())
    assert all_hits.low == pytest.approx(proportion_interval(np.ones(10, bool), range(10)).low)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_95_of_100_intervals_hold_a_proportion_of_patients_that_differ(share):
    random = np.random.default_rng(5)
    groups = np.arange(25).repeat(4).tolist()
    held = 0
    for _ in range(300):
        of_patient = random.beta(2 * share, 2 * (1 - share), 25)  # so that images of a patient are alike
        hits = random.random(100) < of_patient.repeat(4)
        interval = proportion_interval(hits, groups)
        held += interval.low <= share <= interval.high
    assert held >= 0.93 * 300


def test_a_mean_of_independent_images_has_the_interval_of_scipy():
    values = np.random.default_rng(6).normal(2, 3, 25)
    interval = mean_interval(values, range(25))
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_a_mean_of_images_that_are_alike_is_that_of_the_patients():
    values = np.random.default_rng(7).normal(size=20)
    once = mean_interval(values, range(20))
    repeated = mean_interval(values.repeat(3), np.arange(20).repeat(3).tolist())
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high))
    with pytest.raises(ValueError, match="2 groups or more, got 1"):
        mean_interval(values, [0] * 20)
