"""Net benefit, reliability, abstention and errors, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.page.abstention import abstention, prediction_sets
from dwskd_monai.evaluation.page.decisions import net_benefit
from dwskd_monai.evaluation.page.failures import failures
from dwskd_monai.evaluation.page.reliability import brier_score, reliability
from dwskd_monai.evaluation.resampling import Resamples


def test_net_benefit_by_the_formula_of_vickers_and_elkin():
    scores = np.repeat([0.9, 0.4, 0.9, 0.05], [8, 2, 5, 25])
    positive = np.arange(40) < 10
    network, everybody = net_benefit(scores, positive, Resamples(range(40), count=10), np.array([0.01, 0.2, 0.5]))
    expected = [10 / 40 - 30 / 40 * 0.01 / 0.99, 10 / 40 - 5 / 40 * 0.25, 8 / 40 - 5 / 40]
    np.testing.assert_allclose(network[0], expected)
    np.testing.assert_allclose(everybody[0], [expected[0], 10 / 40 - 30 / 40 * 0.25, 10 / 40 - 30 / 40])


def test_reliability_has_the_bins_of_scikit_learn_with_exact_intervals():
    random = np.random.default_rng(0)
    scores = random.random(200)
    hits = random.random(200) < scores
    bins = reliability(scores, hits, range(200))
    shares, means = calibration_curve(hits, scores, n_bins=10, strategy="quantile")
    assert [one["mean"] for one in bins] == pytest.approx(means.tolist(), abs=1e-6)
    assert [one["share"]["value"] for one in bins] == pytest.approx(shares.tolist(), abs=1e-6)
    first = bins[0]["share"]
    exact = binomtest(round(first["value"] * 20), 20).proportion_ci(method="exact")
    assert (first["low"], first["high"], first["n"]) == pytest.approx((exact.low, exact.high, 20), abs=1e-6)


def test_the_brier_score_of_two_classes_is_twice_that_of_one():
    random = np.random.default_rng(1)
    of_ill = random.random(50)
    labels = (random.random(50) < of_ill).astype(int)
    measured = brier_score(np.stack([1 - of_ill, of_ill], axis=1), labels, range(50))
    assert measured["value"] == pytest.approx(2 * brier_score_loss(labels, of_ill), abs=1e-6)
    assert measured["low"] < measured["value"] < measured["high"]
    assert brier_score(np.eye(2)[[0] * 9], np.zeros(9, int), range(9)) == "too few (n = 9)"


def test_abstention_counts_the_studies_that_are_kept_and_the_errors_among_them():
    confidence = np.repeat([0.95, 0.7, 0.55], [20, 12, 8])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.repeat([0, 1, 0, 1], [19, 1, 8, 12])
    rows = abstention(probabilities, labels, range(40), (0.0, 0.6, 0.9, 0.99))
    wrong = {0.0: 13, 0.6: 5, 0.9: 1}
    kept = {0.0: 40, 0.6: 32, 0.9: 20}
    for row in rows[:3]:
        threshold = row["threshold"]
        assert row["coverage"]["value"] == pytest.approx(kept[threshold] / 40)
        assert row["error"]["value"] == pytest.approx(wrong[threshold] / kept[threshold], abs=1e-6)
        assert row["error"]["n"] == kept[threshold]
    assert rows[3]["coverage"]["value"] == 0
    assert rows[3]["error"] == "too few (n = 0)"


def test_prediction_sets_of_each_class_are_counted():
    evidence = Evidence(set_thresholds={"healthy": 0.6, "ill": 0.3}, coverage=0.9)
    of_healthy = np.repeat([0.9, 0.65, 0.2, 0.9], [10, 5, 9, 3])
    probabilities = np.stack([of_healthy, 1 - of_healthy], axis=1)
    labels = np.repeat([0, 1], [15, 12])
    sets = prediction_sets(evidence, probabilities, labels, range(27), ("healthy", "ill"))
    assert sets["healthy"]["coverage"]["value"] == 1
    assert sets["healthy"]["size"]["value"] == pytest.approx((10 + 5 * 2) / 15, abs=1e-6)
    assert sets["ill"]["coverage"]["value"] == pytest.approx(9 / 12)
    assert sets["ill"]["size"]["value"] == 1


def test_errors_are_listed_by_file_name_with_the_most_confident_first():
    probabilities = np.array([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
    studies = ["patient Doe/1.png", "patient Doe/2.png", "3.png", "4.png"]
    found = failures(probabilities, np.array([1, 0, 1, 0]), studies, ("healthy", "ill"))
    assert [one["study"] for one in found] == ["2.png", "4.png", "1.png"]
    assert found[0] == {
        "study": "2.png", "label": "healthy", "predicted": "ill", "probability": 0.9, "probability_of_label": 0.1,
    }  # fmt: skip


def test_at_most_thirty_errors_are_listed():
    probabilities = np.tile([0.9, 0.1], (50, 1))
    assert len(failures(probabilities, np.ones(50, int), [str(number) for number in range(50)], ("a", "b"))) == 30
