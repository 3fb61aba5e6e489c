from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dwskd_monai.evaluation.shortcuts.forest import drawn_images, forest_scores


@pytest.mark.slow
def test_a_feature_that_tells_the_class_is_found_and_noise_is_not():
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    noise = random.normal(size=(200, 3))
    telling = forest_scores(np.column_stack([labels + 0.1 * noise[:, 0], noise]), labels, range(200), 2)
    assert roc_auc_score(labels, telling.scores[:, 1]) > 0.99
    assert roc_auc_score(labels, forest_scores(noise, labels, range(200), 2).scores[:, 1]) == pytest.approx(
        0.5, abs=0.1
    )


@pytest.mark.slow
def test_what_tells_only_the_patient_is_not_learned():
    """All images of a patient have one class, and one value that no other patient has."""
    random = np.random.default_rng(1)
    patients = np.arange(60).repeat(20)
    values = random.permutation(60)[patients][:, None].astype(float)
    labels = random.integers(0, 2, 60)[patients]
    by_patient = forest_scores(values, labels, list(patients), 2)
    by_image = forest_scores(values, labels, range(1200), 2)
    assert roc_auc_score(labels, by_image.scores[:, 1]) > 0.95
    assert roc_auc_score(labels, by_patient.scores[:, 1]) < 0.65


def test_a_class_of_few_patients_is_left_out():
    labels = np.array([0] * 40 + [1] * 40 + [2] * 40)
    patients = [*range(80), *(90 + number % 9 for number in range(40))]
    told = forest_scores(labels[:, None].astype(float), labels, patients, 4)
    assert told.classes == [0, 1]
    assert told.used.tolist() == [True] * 80 + [False] * 40
    assert told.scores.shape == (80, 2)
    assert forest_scores(labels[:, None].astype(float), labels, ["P"] * 120, 3).scores is None


def test_at_most_2000_images_of_whole_patients_are_drawn():
    groups = [number // 3 for number in range(9000)]
    drawn = drawn_images(groups)
    assert len(drawn) == 2000
    assert drawn == sorted(set(drawn))
    assert len({groups[index] for index in drawn}) == 667
    assert drawn_images(range(50)) == list(range(50))
