"""Prediction sets: the rank of the textbook, and the coverage that was promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta

from dwskd_monai.evaluation.conformal import checked_share, fit_set_threshold


@pytest.mark.parametrize("count", [9, 10, 19, 20, 57, 1000])
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_the_threshold_has_the_rank_of_split_conformal_prediction(count, coverage):
    scores = np.random.default_rng(0).random(count)
    rank = math.ceil(round((count + 1) * coverage, 9))
    found = fit_set_threshold(scores, range(count), coverage)
    assert found.threshold == np.sort(scores)[::-1][rank - 1]
    assert found.coverage.value == pytest.approx(rank / (count + 1))
    assert (scores >= found.threshold).mean() >= coverage


@pytest.mark.parametrize(("coverage", "least"), [(0.9, 9), (0.95, 19), (0.8, 4)])
def test_with_fewer_patients_nothing_can_be_promised(coverage, least):
    scores = np.linspace(0.1, 0.9, least)
    assert fit_set_threshold(scores, range(least), coverage).threshold == scores.min()
    few = fit_set_threshold(scores[1:], range(least - 1), coverage)
    assert (few.threshold, few.coverage, few.reason) == (None, None, f"too few (n = {least - 1})")
    one_patient = fit_set_threshold(np.linspace(0.1, 0.9, 100), [0] * 100, coverage)
    assert (one_patient.threshold, one_patient.reason) == (None, "too few (n = 100, of 1 patient)")


def test_no_study_of_a_class_is_too_few():
    assert fit_set_threshold(np.zeros(0), [], 0.9).reason == "too few (n = 0)"


def test_a_patient_with_many_equal_studies_counts_as_one():
    scores = np.random.default_rng(1).random(40)
    times = np.random.default_rng(2).integers(1, 9, 40)
    once = fit_set_threshold(scores, range(40), 0.9)
    repeated = fit_set_threshold(scores.repeat(times), np.arange(40).repeat(times).tolist(), 0.9)
    assert repeated.threshold == once.threshold
    assert repeated.n == times.sum()


def test_studies_of_new_patients_are_covered_as_promised_and_draws_lie_where_the_interval_says():
    random = np.random.default_rng(3)
    covered = []
    for _ in range(2000):
        found = fit_set_threshold(random.random(30), range(30), 0.9)
        covered.append(1 - found.threshold)  # the share of uniform scores that reach it
    assert np.mean(covered) == pytest.approx(28 / 31, abs=0.01)
    assert np.mean(covered) >= 0.9 - 0.01
    inside = (np.array(covered) >= found.coverage.low) & (np.array(covered) <= found.coverage.high)
    assert inside.mean() == pytest.approx(0.95, abs=0.02)
    assert (found.coverage.low, found.coverage.high) == pytest.approx(beta.ppf([0.025, 0.975], 28, 3))


def test_one_study_of_a_new_patient_is_covered_though_patients_have_several_alike():
    random = np.random.default_rng(4)

    def scores_of(patients: int, studies: int) -> np.ndarray:
        return (random.normal(size=(patients, 1)) + 0.2 * random.normal(size=(patients, studies))).ravel()

    hits = []
    for _ in range(400):
        found = fit_set_threshold(scores_of(20, 5), np.arange(20).repeat(5).tolist(), 0.9)
        hits.append((scores_of(200, 1) >= found.threshold).mean())
    assert np.mean(hits) == pytest.approx(0.905, abs=0.02)


@pytest.mark.parametrize("coverage", [0, 1, 1.5, -0.1, True, "0.9"])
def test_what_is_not_a_share_is_refused(coverage):
    with pytest.raises(ValueError, match="prediction_set: expected a share between 0 and 1"):
        checked_share("prediction_set", coverage)
