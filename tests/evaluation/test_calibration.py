"""Temperatures: of logits where there are any, found again where they are known, and never made up from few studies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from dwskd_monai.evaluation import calibration
from dwskd_monai.evaluation.calibration import calibration_error, fit_temperature, overconfidence
from dwskd_monai.evaluation.evidence import tempered


def drawn(count: int, temperature: float, seed: int = 0, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are right once they are divided by a temperature, and labels drawn with the right ones."""
    random = np.random.default_rng(seed)
    right = random.dirichlet(np.ones(classes), count)
    labels = np.array([random.choice(classes, p=row) for row in right])
    return tempered(right, 1 / temperature), labels


def test_one_slice_is_tempered_as_its_logits_are():
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 3.0]], dtype=torch.float64)
    expected = (logits / 1.7).softmax(1).numpy()
    assert tempered(logits.softmax(1).numpy(), 1.7) == pytest.approx(expected)


def test_a_probability_of_zero_is_a_number_and_the_sum_stays_1():
    result = tempered(np.array([[1.0, 0.0], [0.5, 0.5]]), 2.0)
    assert np.isfinite(result).all()
    assert result.sum(1) == pytest.approx(1)


@pytest.mark.parametrize("temperature", [0.6, 1.8])
@pytest.mark.parametrize("classes", [2, 3, 4])
def test_a_known_temperature_is_found_and_calibrates_other_patients(temperature, classes):
    probabilities, labels = drawn(3000, temperature, classes=classes)
    found = fit_temperature(probabilities, labels, range(3000))
    assert found.value == pytest.approx(temperature, rel=0.1)
    assert found.interval.low < temperature < found.interval.high
    assert found.log_loss.value == pytest.approx(log_loss(labels, probabilities))
    assert found.log_loss_change.high < 0
    assert found.overconfidence_after.low < 0 < found.overconfidence_after.high
    assert found.ece_after.value < found.ece.value / 2
    assert found.reason is None


def test_the_log_loss_is_smallest_at_the_temperature():
    probabilities, labels = drawn(200, 1.5)
    value = calibration.best_temperature(probabilities, labels)
    losses = [log_loss(labels, tempered(probabilities, value * factor)) for factor in (0.98, 1, 1.02)]
    assert losses[1] == min(losses)


def test_95_of_100_intervals_hold_the_temperature_also_if_patients_have_several_studies():
    held = 0
    for seed in range(200):
        probabilities, labels = drawn(60, 1.5, seed)
        patients = np.arange(60).repeat(3)
        probabilities, labels = probabilities.repeat(3, 0), labels.repeat(3)
        value = calibration.best_temperature(probabilities, labels)
        interval = calibration.temperature_interval(probabilities, labels, patients.tolist(), value)
        held += interval.low <= 1.5 <= interval.high
    assert 180 <= held <= 198


def test_few_patients_give_no_temperature_however_many_studies_they_have():
    probabilities, labels = drawn(100, 2.0)
    found = fit_temperature(probabilities, labels, (np.arange(100) % 29).tolist())
    assert (found.value, found.reason, found.n) == (1.0, "too few (n = 100, of 29 patients)", 100)
    assert fit_temperature(probabilities[:0], labels[:0], []).reason == "too few (n = 0)"


def test_studies_that_are_all_right_do_not_determine_a_temperature():
    probabilities, _ = drawn(50, 1.0)
    found = fit_temperature(probabilities, probabilities.argmax(1), range(50))
    assert found.value == 1
    assert "each study is predicted correctly" in found.reason


def test_a_temperature_that_does_not_help_other_patients_is_not_used():
    probabilities, labels = drawn(40, 1.0, seed=3)
    found = fit_temperature(probabilities, labels, range(40))
    assert found.log_loss_change.value > 0
    assert found.value == 1
    assert "would not lower the log loss of other patients" in found.reason


def test_noise_alone_is_at_the_bound():
    random = np.random.default_rng(0)
    found = fit_temperature(random.dirichlet([0.1] * 3, 300), random.integers(0, 3, 300), range(300))
    assert found.value == 1
    assert "at the bound 10" in found.reason


def test_the_temperature_of_a_patient_is_fitted_on_others():
    probabilities, labels = drawn(60, 1.5)
    patients = (np.arange(60) // 2).tolist()
    crossed = calibration.cross_fitted(probabilities, labels, patients)
    changed = labels.copy()
    changed[:2] = (changed[:2] + 1) % 3  # of patient 0
    again = calibration.cross_fitted(probabilities, changed, patients)
    assert (again[:2] == crossed[:2]).all()
    assert (again != crossed).any()


def test_the_calibration_error_is_the_mean_gap_of_bins_of_equal_numbers():
    confidence = np.r_[np.full(10, 0.6), np.full(10, 0.9)]
    right = np.arange(20) % 2 == 0  # half of each bin
    labels = np.where(right, 0, 1)
    error = calibration_error(np.c_[confidence, 1 - confidence], labels)
    assert error.value == pytest.approx((0.1 + 0.4) / 2)
    assert error.n == 20


def test_a_calibrated_classifier_has_a_small_calibration_error():
    probabilities, labels = drawn(5000, 1.0)
    assert calibration_error(probabilities, labels).value < 0.03


def test_95_of_100_calibrated_classifiers_have_the_error_of_chance_and_others_a_larger_one():
    inside, above = [], []
    for seed in range(100):
        error = calibration_error(*drawn(150, 1.0, seed))
        inside.append(error.chance_low <= error.value <= error.chance_high)
        error = calibration_error(*drawn(150, 3.0, seed))
        above.append(error.value > error.chance_high)
    assert 0.9 <= np.mean(inside) <= 0.99
    assert np.mean(above) > 0.95


@pytest.mark.slow
def test_95_of_100_intervals_hold_the_overconfidence():
    truth = overconfidence(*drawn(200_000, 1.5, 999), range(200_000)).value
    assert truth == pytest.approx(0.08, abs=0.02)
    held = 0
    for seed in range(200):
        interval = overconfidence(*drawn(60, 1.5, seed), range(60))
        held += interval.low <= truth <= interval.high
    assert 182 <= held <= 198
