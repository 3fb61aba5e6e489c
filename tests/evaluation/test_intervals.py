"""Intervals of the AUC: the value is scikit-learn's, and 95 of 100 intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from dwskd_monai.evaluation.intervals import auc_interval


def test_the_value_is_the_auc_and_equal_scores_count_half():
    random = np.random.default_rng(0)
    positive = random.random(200) < 0.3
    scores = np.round(random.normal(positive, 1), 1)
    interval = auc_interval(scores, positive, range(200))
    assert interval.value == pytest.approx(roc_auc_score(positive, scores))
    assert interval.low < interval.value < interval.high


def test_95_of_100_intervals_hold_the_truth():
    random = np.random.default_rng(1)
    truth = norm.cdf(1 / np.sqrt(2))  # P(a positive's score is higher), scores being N(0, 1) and N(1, 1)
    held = 0
    for number in range(200):
        positive = np.arange(80) < 40
        interval = auc_interval(random.normal(positive, 1.0), positive, range(80), seed=number)
        held += interval.low <= truth <= interval.high
    assert 180 <= held <= 198


def test_images_of_one_patient_do_not_make_an_interval_narrower():
    random = np.random.default_rng(2)
    positive = np.arange(60) < 30
    scores = random.normal(positive, 1.0)
    of_patients = auc_interval(scores, positive, range(60))
    repeated = auc_interval(scores.repeat(10), positive.repeat(10), list(np.arange(60).repeat(10)))
    as_if_independent = auc_interval(scores.repeat(10), positive.repeat(10), range(600))
    assert repeated.value == pytest.approx(of_patients.value)
    width = of_patients.high - of_patients.low
    assert repeated.high - repeated.low == pytest.approx(width, rel=0.05)
    assert as_if_independent.high - as_if_independent.low < width / 2


def test_images_of_one_kind_have_no_auc():
    with pytest.raises(ValueError, match="both kinds"):
        auc_interval(np.ones(3), np.ones(3, bool), "abc")
