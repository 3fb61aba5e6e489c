"""Rates of a class, written out by hand, and those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score

from dwskd_monai.evaluation.page.rates import class_rates, macro_rows, predictive_values
from dwskd_monai.evaluation.resampling import Resamples
from tests.evaluation.page.made import evaluated


def table(tp, fp, fn, tn):
    """Flags and truth of studies with these outcomes."""
    flagged = np.repeat([True, True, False, False], [tp, fp, fn, tn])
    positive = np.repeat([True, False, True, False], [tp, fp, fn, tn])
    return flagged, positive


def test_the_rates_of_a_class_by_hand():
    flagged, positive = table(18, 4, 2, 36)
    rates = class_rates(flagged, positive, range(60), Resamples(range(60)))
    expected = {
        "sensitivity": (18 / 20, 20),
        "specificity": (36 / 40, 40),
        "ppv": (18 / 22, 22),
        "npv": (36 / 38, 38),
        "f1": (36 / 42, 60),
        "lr_positive": (0.9 / 0.1, 60),
        "lr_negative": (0.1 / 0.9, 60),
    }
    got = {name: (one["value"], one["n"]) for name, one in rates.items()}
    assert got == {name: (pytest.approx(value, abs=1e-6), count) for name, (value, count) in expected.items()}
    exact = binomtest(18, 22).proportion_ci(method="exact")
    assert (rates["ppv"]["low"], rates["ppv"]["high"]) == pytest.approx((exact.low, exact.high), abs=1e-6)


def test_the_interval_of_a_likelihood_ratio_is_near_that_of_the_formula():
    """Simel et al. (1991): log LR+ has the variance 1/TP - 1/P + 1/FP - 1/N."""
    flagged, positive = table(300, 80, 100, 320)
    measured = class_rates(flagged, positive, range(800), Resamples(range(800)))["lr_positive"]
    error = np.sqrt(1 / 300 - 1 / 400 + 1 / 80 - 1 / 400)
    expected = 3.75 * np.exp(np.array([-1, 1]) * norm.ppf(0.975) * error)
    assert (measured["low"], measured["high"]) == pytest.approx(tuple(expected), rel=0.05)


def test_a_ratio_by_zero_is_said():
    flagged, positive = table(20, 0, 5, 30)
    rates = class_rates(flagged, positive, range(55), Resamples(range(55)))
    assert rates["lr_positive"] == "undefined (division by 0)"
    assert rates["lr_negative"]["value"] == pytest.approx(0.2)


def test_too_few_patients_make_no_rate():
    flagged, positive = table(5, 1, 2, 30)
    rates = class_rates(flagged, positive, range(38), Resamples(range(38)))
    assert rates["sensitivity"] == rates["f1"] == rates["lr_positive"] == "too few (n = 7)"
    assert rates["ppv"] == "too few (n = 6)"
    assert rates["specificity"]["n"] == 31


@pytest.mark.parametrize(("classes", "missing"), [(2, ()), (3, ()), (4, ()), (4, (1,))])
def test_means_over_classes_are_those_of_scikit_learn(classes, missing):
    one = evaluated(200, classes, missing=missing)
    predicted = one.probabilities.argmax(1)
    present = sorted(set(one.labels.tolist()))
    got = macro_rows(predicted, one.labels, Resamples(one.patients, count=50))
    options = {"labels": present, "average": "macro"}
    assert got["f1"][0] == pytest.approx(f1_score(one.labels, predicted, **options))
    assert got["ppv"][0] == pytest.approx(precision_score(one.labels, predicted, **options))
    recalls = [(predicted[one.labels == index] == index).mean() for index in present]
    assert got["sensitivity"][0] == pytest.approx(np.mean(recalls))
    if not missing:
        assert got["sensitivity"][0] == pytest.approx(balanced_accuracy_score(one.labels, predicted))


@pytest.mark.slow
def test_about_95_of_100_intervals_of_f1_hold_the_truth():
    truth = 2 * 0.8 * 0.5 / (2 * 0.8 * 0.5 + 0.2 * 0.5 + 0.1 * 0.5)  # sensitivity 0.8, specificity 0.9, half are ill
    random = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        positive = random.random(150) < 0.5
        flagged = random.random(150) < np.where(positive, 0.8, 0.1)
        measured = class_rates(flagged, positive, range(150), Resamples(range(150), count=400))["f1"]
        held += measured["low"] <= truth <= measured["high"]
    assert 182 <= held <= 198


def test_predictive_values_elsewhere_follow_from_bayes():
    flagged, positive = table(18, 4, 2, 36)
    prevalences = np.array([0.01, 0.5])
    ppv, npv = predictive_values(flagged, positive, Resamples(range(60), count=20), prevalences)
    expected_ppv = [0.9 * 0.01 / (0.9 * 0.01 + 0.1 * 0.99), 0.9]
    expected_npv = [0.9 * 0.99 / (0.9 * 0.99 + 0.1 * 0.01), 0.9]
    np.testing.assert_allclose(ppv[0], expected_ppv)
    np.testing.assert_allclose(npv[0], expected_npv)
    here, _ = predictive_values(flagged, positive, Resamples(range(60), count=20), np.array([20 / 60]))
    assert here[0, 0] == pytest.approx(18 / 22), "at the prevalence of these studies, it is the PPV of these studies"
