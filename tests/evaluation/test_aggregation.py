from __future__ import annotations

import numpy as np
import pytest

from dwskd_monai.evaluation import aggregation
from dwskd_monai.evaluation.aggregation import Aggregation

SLICES = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.5, 0.1, 0.4], [0.6, 0.3, 0.1]])


def test_mean_of_the_slices():
    np.testing.assert_allclose(aggregation.mean(SLICES), [0.55, 0.325, 0.125])
    assert np.array_equal(Aggregation()(SLICES), aggregation.mean(SLICES))


def test_largest_of_each_class_divided_by_their_sum():
    np.testing.assert_allclose(aggregation.max(SLICES), np.array([0.9, 0.8, 0.4]) / 2.1)
    assert np.array_equal(Aggregation("max")(SLICES), aggregation.max(SLICES))


def test_mean_of_the_k_largest_of_each_class():
    expected = np.array([0.75, 0.55, 0.25])
    np.testing.assert_allclose(aggregation.top_k(SLICES, 2), expected / expected.sum())
    assert np.array_equal(Aggregation("top_k", 2)(SLICES), aggregation.top_k(SLICES, 2))
    for k in (4, 9):
        np.testing.assert_allclose(aggregation.top_k(SLICES, k), aggregation.mean(SLICES))


@pytest.mark.parametrize("method", ["mean", "max", "top_k"])
def test_one_slice_is_the_study(method):
    np.testing.assert_allclose(Aggregation(method)(SLICES[:1]), SLICES[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("median",), "aggregate must be one of mean, max, top_k; got 'median'"),
        (("top_k", 0), "top_k must be 1 or more"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Aggregation(*arguments)
