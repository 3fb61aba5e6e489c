"""Curves: scikit-learn with weights gives the same for each resample."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from dwskd_monai.evaluation.intervals import auc_interval, group_numbers
from dwskd_monai.evaluation.page.curves import area_record, auc_record, class_curves, perfect_auc_low
from dwskd_monai.evaluation.page.resampling import Resamples, record


def made(count, per_patient=3, digits=2, seed=0):
    random = np.random.default_rng(seed)
    positive = random.random(count) < 0.35
    scores = np.round(norm.cdf(random.normal(positive, 1.0)), digits)
    return scores, positive, (np.arange(count) // per_patient).tolist()


def weights_of(groups, count, seed=0):
    members = group_numbers(groups)
    total = members.max() + 1
    return np.random.default_rng(seed).multinomial(total, np.full(total, 1 / total), count)[:, members]


def test_each_resample_has_the_areas_of_scikit_learn_with_weights_also_for_equal_scores():
    scores, positive, groups = made(90, digits=1)
    curves = class_curves(scores, positive, Resamples(groups, count=20))
    assert curves.auc[0] == pytest.approx(roc_auc_score(positive, scores))
    assert curves.average_precision[0] == pytest.approx(average_precision_score(positive, scores))
    for number, weights in enumerate(weights_of(groups, 20), start=1):
        kept = weights > 0
        truth, values, times = positive[kept], scores[kept], weights[kept]
        expected = roc_auc_score(truth, values, sample_weight=times)
        assert curves.auc[number] == pytest.approx(expected)
        expected = average_precision_score(truth, values, sample_weight=times)
        assert curves.average_precision[number] == pytest.approx(expected)


def test_five_hundred_bins_are_as_good_as_all_scores():
    scores, positive, groups = made(3000, digits=9)
    curves = class_curves(scores, positive, Resamples(groups, count=5))
    assert curves.auc[0] == roc_auc_score(positive, scores)
    for number, weights in enumerate(weights_of(groups, 5), start=1):
        kept = weights > 0
        times = weights[kept]
        expected = roc_auc_score(positive[kept], scores[kept], sample_weight=times)
        assert curves.auc[number] == pytest.approx(expected, abs=5e-4)
        expected = average_precision_score(positive[kept], scores[kept], sample_weight=times)
        assert curves.average_precision[number] == pytest.approx(expected, abs=5e-3)


def test_the_interval_is_that_of_the_bootstrap_of_studies():
    scores, positive, groups = made(150)
    measured = record(class_curves(scores, positive, Resamples(groups)).auc, 150)
    interval = auc_interval(scores, positive, groups)
    assert measured["value"] == pytest.approx(interval.value, abs=1e-6)
    assert (measured["low"], measured["high"]) == pytest.approx((interval.low, interval.high), abs=0.015)


def test_the_curve_is_that_of_scikit_learn_and_its_band_is_around_it():
    scores, positive, groups = made(200)
    roc = class_curves(scores, positive, Resamples(groups)).roc
    fpr, tpr, _ = roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc.x, fpr)
    np.testing.assert_allclose(roc.y, tpr)
    on_grid = np.interp(roc.grid, fpr, tpr)
    assert (roc.low <= on_grid + 1e-9).all()
    assert (on_grid <= roc.high + 1e-9).all()
    assert (roc.high - roc.low).max() > 0.1


def test_studies_of_one_patient_do_not_make_a_band_narrower():
    scores, positive, groups = made(60, per_patient=1)
    once = class_curves(scores, positive, Resamples(groups))
    repeated = class_curves(scores.repeat(9), positive.repeat(9), Resamples(np.repeat(groups, 9).tolist()))
    assert record(repeated.auc, 1) == record(once.auc, 1)
    np.testing.assert_allclose(repeated.precision_recall.low, once.precision_recall.low)


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
