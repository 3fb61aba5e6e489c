from __future__ import annotations

import numpy as np
import pytest

from dwskd_monai.commands.suggest.choice import PRESELECTED, choose


def apart(count: int) -> list[str]:
    return [f"P{number}" for number in range(count)]


def test_without_a_choice_all_are_chosen_the_highest_score_first():
    scores = np.array([0.1, 0.3, 0.2])
    assert choose(scores, np.eye(3), apart(3), count=5) == [1, 2, 0]


def test_of_equal_scores_the_first_comes_first():
    assert choose(np.zeros(3), np.eye(3), apart(3), count=3) == [0, 1, 2]


def test_each_of_three_groups_that_look_alike_is_covered_although_one_has_the_highest_scores():
    random = np.random.default_rng(0)
    centers = np.repeat([[0.0, 0], [10, 0], [0, 10]], 10, axis=0)
    features = centers + random.normal(0, 0.1, centers.shape)
    scores = np.repeat([0.9, 0.5, 0.4], 10) + random.uniform(0, 0.01, 30)
    chosen = choose(scores, features, apart(30), count=3)
    assert [place // 10 for place in chosen] == [0, 1, 2], "in the order of their scores"


def test_the_study_nearest_to_the_weighted_center_is_chosen():
    features = np.array([[0.0], [1.0], [2.0], [100.0]])
    # of the first three the center is (0 · 0.1 + 1 · 0.2 + 2 · 0.9) / 1.2 = 1.67, nearest to 2
    assert choose(np.array([0.1, 0.2, 0.9, 0.3]), features, apart(4), count=2) == [2, 3]
    # and (0 · 0.9 + 1 · 0.8 + 2 · 0.1) / 1.8 = 0.56, nearest to 1
    assert choose(np.array([0.9, 0.8, 0.1, 0.3]), features, apart(4), count=2) == [1, 3]


def test_two_studies_with_the_same_features_are_not_both_chosen():
    features = np.array([[1.0, 2], [1, 2], [1, 2], [3, 4]])
    assert choose(np.array([0.7, 0.9, 0.8, 0.1]), features, apart(4), count=4) == [1, 3]


def test_of_each_patient_the_study_with_the_highest_score_is_chosen():
    patients = ["A", "B", "A", "B", "C"]
    assert choose(np.array([0.1, 0.2, 0.5, 0.4, 0.3]), np.eye(5), patients, count=9) == [2, 3, 4]


def test_a_study_that_says_little_is_not_chosen_however_unlike_the_others_it_is():
    count = 2
    scores = np.full(PRESELECTED * count + 1, 0.5)
    scores[7] = 0.01
    features = np.random.default_rng(0).normal(size=(len(scores), 2))
    features[7] = 1000
    assert 7 not in choose(scores, features, apart(len(scores)), count)


@pytest.mark.parametrize("scores", [np.zeros(60), np.random.default_rng(1).random(60)], ids=["all 0", "any"])
def test_the_choice_is_that_of_the_seed_and_has_no_study_twice(scores):
    features = np.random.default_rng(2).normal(size=(60, 5))
    chosen = choose(scores, features, apart(60), count=12, seed=3)
    assert len(set(chosen)) == 12
    assert chosen == choose(scores, features, apart(60), count=12, seed=3)
    assert any(chosen != choose(scores, features, apart(60), count=12, seed=seed) for seed in range(4, 9))
