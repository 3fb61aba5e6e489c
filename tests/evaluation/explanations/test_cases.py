from __future__ import annotations

import numpy as np

from dwskd_monai.evaluation.explanations.cases import carrying_slices, drawn_cases, shown_cases


def of(*rows):
    """Probabilities of two classes from that of the second one."""
    return np.array([[1 - row, row] for row in rows])


def test_right_ones_are_of_each_class_in_turn_and_wrong_ones_the_most_confident():
    probabilities = of(0.99, 0.98, 0.97, 0.96, 0.2, 0.1, 0.9, 0.4, 0.45)
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 1, 0])
    assert shown_cases(probabilities, labels) == {"right": [0, 5, 1, 4], "wrong": [6, 7], "uncertain": [8, 3, 2]}


def test_one_study_is_shown_once():
    assert shown_cases(of(0.9), np.array([0])) == {"right": [], "wrong": [0], "uncertain": []}


def test_studies_are_drawn_without_an_order():
    drawn = drawn_cases(100, 30)
    assert len(set(drawn)) == 30
    assert drawn != sorted(drawn)
    assert sorted(drawn_cases(3, 30)) == [0, 1, 2]


def test_the_slices_that_carried_a_study_are_the_most_probable_ones():
    assert carrying_slices(of(0.1, 0.9, 0.3, 0.8, 0.2), 1) == [1, 3, 2]
    assert carrying_slices(of(0.1, 0.9), 0) == [0, 1]
