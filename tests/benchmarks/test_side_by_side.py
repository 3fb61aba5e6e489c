import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from side_by_side import METHODS, TRAININGS, _deployed, _steps, _together
from side_by_side_images import Pair
from side_by_side_training import STARTS


def test_each_training_starts_from_a_start_that_is_known_and_from_labelers_before_it():
    names = list(TRAININGS)
    for name, training in TRAININGS.items():
        assert training.start in STARTS
        assert all(names.index(labeler) < names.index(name) for labeler in training.labelers)
    assert all(set(method.trainings) <= set(names) for method in METHODS.values())


@pytest.mark.parametrize(
    ("method", "steps"),
    [("main", 1000), ("selection", 3000), ("both", 2000), ("soft_labels", 3000), ("own_soft_labels", 3000),
     ("two_starts", 3000), ("soft_labels_of_four", 5000), ("two_rounds", 5000), ("recovered", 3000)],
)  # fmt: skip
def test_steps_are_those_of_all_trainings_that_a_method_needs(method, steps):
    assert _steps(METHODS[method].trainings, 1000) == steps


def test_labelers_give_the_mean_of_their_probabilities_or_of_their_votes():
    opinions = [torch.tensor([[0.6, 0.4]]), torch.tensor([[0.55, 0.45]]), torch.tensor([[0.0, 1.0]])]
    torch.testing.assert_close(_together(opinions, vote=False), torch.tensor([[1.15 / 3, 1.85 / 3]]))
    torch.testing.assert_close(_together(opinions, vote=True), torch.tensor([[2 / 3, 1 / 3]]))


def test_the_better_network_is_chosen_by_validation_images_alone():
    pair = Pair("set", 0, 0, 2, [], [], [], [], validation=[0, 1], validation_labels=[0, 1], test=[2], test_labels=[0])
    right_in_validation = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    right_in_test = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    assert _deployed([right_in_test, right_in_validation], pair, better=True) is right_in_validation
    mean = _deployed([right_in_test, right_in_validation], pair, better=False)
    torch.testing.assert_close(mean, torch.tensor([[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]]))
