from __future__ import annotations

import numpy as np
import pytest

from dwskd_monai.commands.suggest import label_issues
from dwskd_monai.commands.suggest.label_issues import find_label_issues


def certain(labels: np.ndarray, probability: float = 0.8) -> np.ndarray:
    """Predictions of these labels."""
    rest = (1 - probability) / 2
    return np.where(np.eye(3)[labels] > 0, probability, rest)


def test_labels_that_confident_predictions_contradict_are_found_the_least_likely_first():
    true = np.repeat([0, 1, 2], 20)
    given = true.copy()
    given[[3, 25, 44]] = [1, 2, 0]
    probabilities = certain(true)
    for place, own in ((3, 0.10), (25, 0.02), (44, 0.06)):  # what is left for the label that was given
        probabilities[place] = 1 - 0.8 - own
        probabilities[place, true[place]] = 0.8
        probabilities[place, given[place]] = own
    assert find_label_issues(given, probabilities) == [25, 44, 3]


def test_a_doubtful_prediction_contradicts_no_label():
    labels = np.repeat([0, 1, 2], 20)
    probabilities = certain(labels)
    # Studies that are labeled b have b with 0.77 on average, so 0.4 for b is not enough
    probabilities[0] = [0.35, 0.4, 0.25]
    assert find_label_issues(labels, probabilities) == []


def test_the_other_classes_are_judged_if_no_study_is_labeled_one_of_them():
    labels = np.repeat([0, 1], 10)
    probabilities = certain(labels)
    labels[0] = 1
    assert find_label_issues(labels, probabilities) == [0]


def test_without_cleanlab_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(label_issues, "optional_import", lambda name: (None, False))
    with pytest.raises(ValueError, match=r"pip install 'dwskd_monai\[audit\]'"):
        find_label_issues(np.array([0]), np.ones((1, 1)))
