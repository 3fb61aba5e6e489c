"""What evidence does on other studies: counted by hand, with n, and words where there are few patients."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.intervals import proportion_interval
from dwskd_monai.evaluation.measuring import measure_evidence

NAMES = ["a", "b"]
LABELS = np.arange(40) % 2
EVIDENCE = Evidence(1.5, {"a": 0.6, "b": 0.3}, {"a": 0.4}, 0.9)


def probabilities() -> np.ndarray:
    first = np.clip(np.where(LABELS == 0, 0.7, 0.3) + 0.25 * np.random.default_rng(0).normal(size=40), 0.01, 0.99)
    return np.c_[first, 1 - first]


def test_rates_are_counted_at_the_thresholds_of_calibrated_probabilities():
    measured = measure_evidence(EVIDENCE, probabilities(), LABELS, [None] * 40, NAMES)
    calibrated = EVIDENCE.calibrated(probabilities())
    of_b = measured["classes"]["b"]
    assert of_b["sensitivity"]["value"] == pytest.approx((calibrated[LABELS == 1, 1] >= 0.3).mean())
    assert of_b["specificity"]["value"] == pytest.approx((calibrated[LABELS == 0, 1] < 0.3).mean())
    assert (of_b["sensitivity"]["n"], of_b["specificity"]["n"]) == (20, 20)
    assert "coverage" not in of_b, "b is in each set"
    covered = calibrated[LABELS == 0, 0] >= 0.4
    assert measured["classes"]["a"]["coverage"]["value"] == pytest.approx(covered.mean())
    exact = proportion_interval(covered, range(20))
    assert measured["classes"]["a"]["coverage"]["low"] == pytest.approx(exact.low, abs=1e-6)
    alone = int((calibrated[:, 0] < 0.4).sum())
    assert measured["set_sizes"] == [0, alone, 40 - alone]


def test_calibration_is_measured_before_and_after():
    measured = measure_evidence(EVIDENCE, probabilities(), LABELS, [None] * 40, NAMES)["calibration"]
    assert measured["before"]["log_loss"]["value"] == pytest.approx(log_loss(LABELS, probabilities()), abs=1e-6)
    after = log_loss(LABELS, EVIDENCE.calibrated(probabilities()))
    assert measured["after"]["log_loss"]["value"] == pytest.approx(after, abs=1e-6)
    assert measured["after"]["ece"]["n"] == 40


def test_few_patients_have_words_in_place_of_numbers_however_many_studies():
    patients = [f"P{number % 9}" for number in range(40)]
    measured = measure_evidence(EVIDENCE, probabilities(), LABELS, patients, NAMES)
    assert measured["calibration"] == dict.fromkeys(("before", "after"), "too few (n = 40, of 9 patients)")
    assert measured["classes"]["a"] == dict.fromkeys(
        ("sensitivity", "specificity", "coverage"), "too few (n = 20, of 9 patients)"
    )
    only_a = measure_evidence(EVIDENCE, probabilities()[::2], LABELS[::2], [None] * 20, NAMES)
    assert only_a["classes"]["b"]["sensitivity"] == "too few (n = 0)"
