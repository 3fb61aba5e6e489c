from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.studies import IncompleteStudiesError, StudyPrediction, StudyPredictions, predict_study

COUNTS = {"a": 4, "b": 1, "c": 7, "d": 2}
LABELS = {"a": 0, "b": 2, "c": None, "d": 1}
ROW = np.array([0.5, 0.5])


def expected(slices: np.ndarray, method: str) -> np.ndarray:
    """By the formulas: the mean, or of each class the mean of its two largest, divided by their sum."""
    if method == "mean":
        return slices.sum(0) / len(slices)
    columns = [sorted(column, reverse=True)[: {"max": 1, "top_k": 2}[method]] for column in slices.T]
    largest = np.array([sum(column) / len(column) for column in columns])
    return largest / largest.sum()


@pytest.mark.parametrize("method", ["mean", "max", "top_k"])
@pytest.mark.parametrize("seed", range(5))
def test_slices_in_any_order_give_what_the_formula_gives(method, seed):
    rng = np.random.default_rng(seed)
    slices = {name: rng.dirichlet([1, 1, 1], count) for name, count in COUNTS.items()}
    places = [(name, index) for name, count in COUNTS.items() for index in range(count)]
    left = dict(COUNTS)
    studies = StudyPredictions(Aggregation(method, 2))
    complete: dict[str, StudyPrediction] = {}
    for place in rng.permutation(len(places)):
        name, index = places[place]
        left[name] -= 1
        result = studies.add(name, index, COUNTS[name], slices[name][index], LABELS[name])
        assert (result is not None) == (left[name] == 0), "a study is complete with its last slice"
        if result is not None:
            complete[name] = result
    studies.require_complete()
    for name, result in complete.items():
        assert result.study == name
        assert result.label == LABELS[name]
        assert np.array_equal(result.slices, slices[name]), "in the order of the slices"
        np.testing.assert_allclose(result.probabilities, expected(slices[name], method))
        whole = predict_study(name, slices[name], Aggregation(method, 2), LABELS[name])
        assert np.array_equal(whole.probabilities, result.probabilities), "at once, or slice by slice"
    assert set(complete) == set(COUNTS)


def test_the_number_of_slices_may_be_known_with_the_last_image_alone():
    studies = StudyPredictions()
    assert studies.add("a", 0, 0, np.array([0.8, 0.2])) is None
    assert studies.add("a", 2, 3, np.array([0.2, 0.8])) is None
    result = studies.add("a", 1, 0, np.array([0.5, 0.5]))
    assert result is not None
    np.testing.assert_allclose(result.probabilities, [0.5, 0.5])


def test_studies_without_all_their_slices_are_named():
    studies = StudyPredictions()
    studies.add("complete", 0, 1, ROW)
    studies.add("a", 3, 5, ROW)
    studies.add("a", 0, 5, ROW)
    studies.add("b", 0, 0, ROW)
    message = r"have no prediction: a \(2 of 5 slices\), b \(1 slice, and images to be read\); expected each slice"
    with pytest.raises(IncompleteStudiesError, match=message):
        studies.require_complete()


def test_of_many_incomplete_studies_ten_are_named():
    studies = StudyPredictions()
    for number in range(30):
        studies.add(f"S{number}", 0, 2, ROW)
    with pytest.raises(
        IncompleteStudiesError, match=r"no prediction: S0 .*, S9 \(1 of 2 slices\) and 20 more; expected each slice"
    ):
        studies.require_complete()


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((0, 2), (0, 2), "a: slice 0 came twice"),
        ((0, 1), (0, 1), "a: slice 0 came after all slices of the study"),
        ((0, 2), (1, 3), "a: has 2 slices or, at slice 1, 3; expected one"),
        ((0, 2), (2, 2), "a: slice 2 is not one of its 2 slices, counted from 0"),
        ((5, 0), (0, 3), "a: slice 5 is not one of its 3 slices"),
        ((0, 2), (-1, 2), "a: slice -1 is not one of its 2 slices"),
        ((0, 2, 1), (1, 2, 0), "a: has label 1 and, at slice 1, 0; expected one"),
        ((0, 2, 1), (1, 2, None), "a: has label 1 and, at slice 1, None; expected one"),
    ],
)
def test_what_cannot_be_is_named(first, second, message):
    studies = StudyPredictions()

    def add(index: int, count: int, label: int | None = None) -> None:
        studies.add("a", index, count, ROW, label)

    add(*first)
    with pytest.raises(ValueError, match=message):
        add(*second)


def test_a_program_with_numpy_alone_can_use_it():
    code = (
        "import sys; from dwskd_monai.evaluation.studies import StudyPredictions; "
        "assert not {'torch', 'monai', 'ignite', 'sklearn', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
