"""Areas: the value is that of scikit-learn, and 95 of 100 intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from dwskd_monai.evaluation.areas import area_record, auc_record, auc_rows, perfect_auc_low
from dwskd_monai.evaluation.page.curves import class_curves
from dwskd_monai.evaluation.resampling import Resamples


def measured_auc(scores, positive, groups, seed=0, count=2000):
    return auc_record(auc_rows(scores, positive, Resamples(groups, count, seed)), positive, groups)


def test_the_value_is_the_auc_and_equal_scores_count_half():
    random = np.random.default_rng(0)
    positive = random.random(200) < 0.3
    scores = np.round(random.normal(positive, 1), 1)
    measured = measured_auc(scores, positive, range(200))
    assert measured["value"] == pytest.approx(roc_auc_score(positive, scores), abs=1e-6)
    assert measured["low"] < measured["value"] < measured["high"]


@pytest.mark.slow
def test_95_of_100_intervals_hold_the_truth():
    random = np.random.default_rng(1)
    truth = norm.cdf(1 / np.sqrt(2))  # P(a positive's score is higher), scores being N(0, 1) and N(1, 1)
    held = 0
    for number in range(200):
        positive = np.arange(80) < 40
        measured = measured_auc(random.normal(positive, 1.0), positive, range(80), number, count=500)
        held += measured["low"] <= truth <= measured["high"]
    assert 180 <= held <= 198


def test_images_of_one_patient_do_not_make_an_interval_narrower():
    random = np.random.default_rng(2)
    positive = np.arange(60) < 30
    scores = random.normal(positive, 1.0)
    of_patients = measured_auc(scores, positive, range(60))
    repeated = measured_auc(scores.repeat(10), positive.repeat(10), list(np.arange(60).repeat(10)))
    as_if_independent = measured_auc(scores.repeat(10), positive.repeat(10), range(600))
    assert repeated["value"] == of_patients["value"]
    width = of_patients["high"] - of_patients["low"]
    assert repeated["high"] - repeated["low"] == pytest.approx(width, rel=0.05)
    assert as_if_independent["high"] - as_if_independent["low"] < width / 2


def test_an_area_of_1_has_a_lower_end_that_comes_with_the_number_of_patients():
    """A network with that AUC separates so few patients by chance in fewer than 2.5 % of the sets."""
    random = np.random.default_rng(4)
    for positives, negatives in ((10, 10), (10, 100), (40, 40)):
        low = perfect_auc_low(positives, negatives)
        shift = norm.ppf(low) * np.sqrt(2)
        lowest = random.normal(shift, 1, (4000, positives)).min(1)
        highest = random.normal(0, 1, (4000, negatives)).max(1)
        assert (lowest > highest).mean() < 0.025
    assert perfect_auc_low(10, 10) < perfect_auc_low(40, 40) < 0.96
    positive = np.arange(30) < 12
    scores = positive * 0.5 + np.arange(30) / 100
    curves = class_curves(scores, positive, Resamples(range(30)))
    expected = {"value": 1.0, "low": round(perfect_auc_low(12, 18), 6), "high": 1.0, "n": 30}
    assert auc_record(curves.auc, positive, range(30)) == expected


def test_an_area_has_a_t_interval_of_its_log_odds():
    positive = np.arange(30) < 8
    area = expit(np.random.default_rng(0).normal(2, 0.5, 401))
    measured = area_record(area, [positive], range(30))
    error = np.diff(np.quantile(np.log(area[1:] / (1 - area[1:])), [0.158655, 0.841345]))[0] / 2
    center = np.log(area[0] / (1 - area[0]))
    ends = 1 / (1 + np.exp(-(center + np.array([-1, 1]) * stats.t.ppf(0.975, 7) * error)))
    assert (measured["value"], measured["n"]) == (pytest.approx(area[0], abs=1e-6), 30)
    assert [measured["low"], measured["high"]] == pytest.approx(ends, abs=1e-5)
    of_two = area_record(area, [positive, np.arange(30) < 3], range(30))
    assert of_two["low"] < measured["low"], "the class with the fewest patients counts"


def test_resamples_without_an_error_widen_the_interval_but_stay_finite():
    area = np.array([0.99, *[1.0] * 200, *[0.98] * 200])
    measured = area_record(area, [np.arange(40) < 20], range(40))
    assert 0.8 < measured["low"] < 0.98
    assert 0.99 < measured["high"] < 1
    assert area_record(np.ones(11), [np.arange(40) < 20], range(40))["reason"] == "no interval: all resamples agree"
