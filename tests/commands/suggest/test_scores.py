from __future__ import annotations

import math

import numpy as np
import pytest

from dwskd_monai.commands.suggest.scores import disagreement, entropy, score


def by_hand(*predictions: list[float]) -> float:
    """The entropy of the mean less the mean entropy, in plain Python."""

    def of(values: list[float]) -> float:
        return -sum(value * math.log(value) for value in values if value)

    mean = [sum(column) / len(predictions) for column in zip(*predictions)]
    return of(mean) - sum(map(of, predictions)) / len(predictions)


@pytest.mark.parametrize(
    ("main", "auxiliary", "expected"),
    [
        ([1.0, 0.0], [0.0, 1.0], math.log(2)),
        ([0.5, 0.5], [0.5, 0.5], 0.0),
        ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5], 0.0),
        # mean (0.75, 0.25) with entropy 0.5623, half of the entropy log 2 of the uncertain one
        ([1.0, 0.0], [0.5, 0.5], 0.5623351446 - math.log(2) / 2),
    ],
)
def test_two_students_disagree_as_much_as_the_formula_says(main, auxiliary, expected):
    assert disagreement(np.array([main, auxiliary])) == pytest.approx(expected, abs=1e-9)
    assert by_hand(main, auxiliary) == pytest.approx(expected, abs=1e-9)


def test_each_of_many_studies_has_its_own_score():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), (5, 3))  # 5 studies, 3 networks
    expected = [by_hand(*networks.tolist()) for networks in probabilities]
    np.testing.assert_allclose(score(probabilities), expected, atol=1e-12)


def test_rounding_makes_no_negative_score():
    same = np.repeat(np.random.default_rng(0).dirichlet(np.ones(7), (1000, 1)), 2, axis=1)
    assert (disagreement(same) >= 0).all()


def test_one_network_alone_has_its_entropy():
    assert entropy(np.array([0.25, 0.75])) == pytest.approx(0.5623351446)
    np.testing.assert_allclose(score(np.array([[[0.25, 0.75]], [[1.0, 0.0]]])), [0.5623351446, 0])
