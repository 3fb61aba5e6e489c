import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from side_by_side import METHODS, TRAININGS, _deployed, _name, _steps, _together, read
from side_by_side_images import Pair, with_labels
from side_by_side_training import STARTS


def test_each_training_starts_from_a_start_that_is_known_and_from_labelers_before_it():
    names = list(TRAININGS)
    for name, training in TRAININGS.items():
        assert training.start in STARTS
        assert all(names.index(needed) < names.index(name) for needed in training.needs)
        assert {*training.labelers, *filter(None, [training.tuned])} == set(training.needs)
    assert all(set(method.trainings) <= set(names) for method in METHODS.values())


@pytest.mark.parametrize(
    ("method", "steps"),
    [("main", 1000), ("selection", 3000), ("both", 2000), ("soft_labels", 3000), ("own_soft_labels", 3000),
     ("two_starts", 3000), ("soft_labels_of_four", 5000), ("two_rounds", 5000), ("recovered", 2000),
     ("tuned_start", 3000)],
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


POOL = [90, 91]


def pair_of_three_classes() -> Pair:
    """Rows 0 to 29, of class row % 3; the first six have labels. Nobody knows the class of the pool."""
    classes = [row % 3 for row in range(30)]
    unlabeled = [*range(6, 30), *POOL]
    return Pair("set", 0, 0, 3, list(range(6)), classes[:6], unlabeled, classes[6:], [40], [0], [41], [1])


def test_as_many_images_of_each_class_as_wanted_have_labels_and_no_image_is_lost():
    pair = with_labels(pair_of_three_classes(), 5)
    assert sorted(pair.labels) == [0] * 5 + [1] * 5 + [2] * 5
    assert sorted(pair.labeled + pair.unlabeled) == [*range(30), *POOL]
    assert pair.unlabeled[-2:] == POOL, "images whose class nobody knows stay behind the others"
    assert pair.labels + pair.truth == [row % 3 for row in pair.labeled + pair.unlabeled[:-2]]
    assert (pair.validation, pair.test) == ([40], [41])


def test_a_class_with_too_few_images_is_named():
    with pytest.raises(ValueError, match="set: class 0 has 10 images; 11 were to be labeled"):
        with_labels(pair_of_three_classes(), 11)


def test_trainings_of_other_labels_are_not_taken_for_these(tmp_path):
    pair = pair_of_three_classes()
    torch.save({"pairs": [_name(with_labels(pair, 5))]}, tmp_path / "main.pt")
    assert read(tmp_path / "main.pt", [with_labels(pair, 5)])
    with pytest.raises(ValueError, match="made of other sets, folds, seeds or labels"):
        read(tmp_path / "main.pt", [pair])
