from __future__ import annotations

import pytest

from dwskd_monai.evaluation.cards.facts import NOT_MEASURED, NOT_STATED, check_stated
from dwskd_monai.evaluation.page.network import Trained
from tests.evaluation.cards.made import evaluated_facts, facts, metrics_of
from tests.evaluation.page.made import evaluated


def test_a_number_is_that_of_the_report_and_without_it_not_measured():
    known = evaluated_facts()
    auc = known.report["study"]["macro"]["auc"]
    assert known.number("study", "macro", "auc") == f"{auc['value']:.3f} ({auc['low']:.3f}–{auc['high']:.3f}), n = 160"
    assert known.number("study", "macro", "no such number") == NOT_MEASURED
    assert facts().number("study", "macro", "auc") == NOT_MEASURED


def test_words_in_place_of_several_numbers_are_those_of_each():
    few = facts(2, metrics_of(evaluated(12, 2, per_patient=1)))
    assert few.number("study", "macro", "sensitivity").startswith("healthy: too few (n = ")
    assert few.number("prevalence", "ill", "x") == few.report["prevalence"]["ill"]


@pytest.mark.slow
def test_which_images_were_evaluated_is_said_with_what_makes_them_look_better():
    one = evaluated(120, 2)
    assert facts(2, metrics_of(one)).evaluation == "Measured on 120 studies (60 patients): the test images."
    of_validation = facts(2, metrics_of(one, split="validation", fitted_images=120)).evaluation
    assert "the validation images of the training. 120 of these images chose the epoch" in of_validation
    assert "It is unknown whether the network was trained" in facts(2, metrics_of(one, trained_images=None)).evaluation
    assert facts().evaluation == "The network was not evaluated, so nothing was measured."
    without_report = {key: value for key, value in metrics_of(one).items() if key != "report"}
    assert "has no report; evaluate again" in facts(2, without_report).evaluation


def test_a_section_of_the_page_is_found_by_its_heading():
    page = "# Name\n\n## Tags\n\nlung, CT\n\n## Limitations\n\nFew\nimages.\n"
    found = facts(page=page)
    assert found.section("Tags") == "lung, CT"
    assert found.section("Limitations") == "Few images."
    assert found.section("Tag") == NOT_STATED


def test_a_teacher_with_random_weights_is_said():
    assert facts().teacher == "convnext_pico"
    random = Trained({}, {"teacher": {"model_name": "vit"}, "overrides": {"teacher_weights": "random"}})
    assert facts(trained=random).teacher == "vit, with random weights"


def test_what_authors_state_is_checked():
    assert check_stated({"funding": " none ", "contact": None, "users": ""}, "stated.yaml") == {"funding": "none"}
    for content, message in (
        ({"fundng": "x"}, "stated.yaml: no card has 'fundng'; did you mean funding?"),
        ({"qqq": "x"}, "no card has 'qqq'; expected acquisition, annotators"),
        ({"release_date": 2026}, "release_date: expected a text, got 2026; put it in quotation marks"),
        (["funding"], r'expected a map of acquisition.*, got \["funding"\]'),
    ):
        with pytest.raises(ValueError, match=message):
            check_stated(content, "stated.yaml")
