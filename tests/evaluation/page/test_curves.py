"""Curves: scikit-learn with weights gives the same for each resample."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from dwskd_monai.evaluation.intervals import group_numbers
from dwskd_monai.evaluation.page.curves import class_curves
from dwskd_monai.evaluation.resampling import Resamples, record


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
