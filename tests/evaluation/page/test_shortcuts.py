"""What the report says of shortcuts, from parts of images that are made up."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dwskd_monai.evaluation.html.numbers import number_text
from dwskd_monai.evaluation.shortcuts.collecting import Seen
from dwskd_monai.evaluation.shortcuts.telling import MUCH, RULE
from tests.evaluation.page.made import NAMES, evaluated
from tests.evaluation.page.test_page import content_of, numbers, written


def telling(one, signal=0.0, features_signal=0.0, names=("borders", "center", "blurred"), seed=1):
    """The evaluation, with parts of images that tell the classes more or less."""
    random = np.random.default_rng(seed)
    count, classes = one.probabilities.shape
    of_class = np.eye(classes)[one.labels]
    probabilities = {}
    for name in names:
        logits = random.normal(size=(count, classes)) + signal * of_class * (name == "borders")
        probabilities[name] = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    size = random.normal(size=(count, 2))
    size[:, 0] += features_signal * one.labels
    features = {"image size": size, "file type": np.ones((count, 1))}
    return dataclasses.replace(one, seen=Seen(probabilities, features))


@pytest.mark.slow
def test_the_auc_of_a_part_is_that_of_scikit_learn_and_stands_beside_that_of_whole_images():
    one = telling(evaluated(300, 3), 1.0)
    content = content_of(one)
    part = content["shortcuts"]["network"]
    for index, name in enumerate(NAMES[:3]):
        expected = roc_auc_score(one.labels == index, one.seen.probabilities["borders"][:, index])
        assert part["borders"]["classes"][name]["value"] == pytest.approx(expected, abs=1e-6)
    whole, borders = part["whole images"]["macro"], part["borders"]["macro"]
    assert whole == content["study"]["macro"]["auc"]
    assert part["borders"]["difference"]["value"] == pytest.approx(whole["value"] - borders["value"], abs=2e-6)


@pytest.mark.slow
def test_borders_and_file_properties_that_tell_much_are_warned_of_at_the_top(tmp_path):
    page, content, _ = written(tmp_path, telling(evaluated(150, 3), 2.0, 3.0))
    found = content["shortcuts"]["found"]
    assert [sentence.startswith("Warning: ") for sentence in found] == [True, True]
    assert "shown nothing but the borders of the images, the network still tells healthy (AUC" in found[0]
    assert "the image size alone tells healthy (AUC" in found[1]
    assert set(found) < set(content["summary"])
    assert "recognized" not in found[1], "patients are known"
    top = page.text[: page.text.index("1. What was evaluated")]
    assert all(sentence in top for sentence in found)
    assert RULE in page.text
    assert content["shortcuts"]["left_out"] == ["file type"]
    for number in numbers(content["shortcuts"]):
        text = number_text(number)
        assert f"{text.value} ({text.interval}), n = {text.n}" in page.text


@pytest.mark.slow
def test_unknown_patients_may_have_been_recognized(tmp_path):
    page, content, _ = written(tmp_path, telling(evaluated(150, 2, per_patient=None), 0.0, 3.0))
    (found,) = content["shortcuts"]["found"]
    assert found.endswith("(Patients are not known of all: it may have recognized patients.)")
    assert "so it may recognize a patient, by other images, in place of a class." in page.text


@pytest.mark.slow
def test_parts_that_tell_nothing_are_not_warned_of(tmp_path):
    page, content, _ = written(tmp_path, telling(evaluated(150, 2)))
    assert content["shortcuts"]["found"] == []
    assert "neither borders nor file properties tell much" in page.text
    assert all(one["low"] < MUCH for one in numbers(content["shortcuts"]["forest"]["image size"]))


def test_few_patients_have_words_in_place_of_numbers(tmp_path):
    page, content, _ = written(tmp_path, telling(evaluated(14, 2, per_patient=1)))
    assert not list(numbers(content["shortcuts"]))
    assert content["shortcuts"]["found"] == []
    assert "too few patients of all classes but one" in page.text or "too few (n = " in page.text


@pytest.mark.slow
def test_a_missing_class_leaves_the_numbers_of_the_others():
    content = content_of(telling(evaluated(150, 4, missing=(1,)), 2.0, 3.0))
    for part in (content["shortcuts"]["network"]["borders"], content["shortcuts"]["forest"]["image size"]):
        assert part["classes"]["ill"] == "too few (n = 0)"
        others = [part["classes"][name]["value"] for name in NAMES if name != "ill"]
        assert part["macro"]["value"] == pytest.approx(sum(others) / 3, abs=2e-6)


@pytest.mark.slow
def test_what_was_not_looked_at_is_said(tmp_path):
    page, content, _ = written(tmp_path, evaluated())
    assert "Not measured: shortcuts is false" in page.text
    assert any("Whether shortcuts tell the classes was not measured" in sentence for sentence in content["limits"])
