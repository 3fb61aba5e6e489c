"""The label: its numbers are those of the report, it needs nothing else, and it says what is not known."""

from __future__ import annotations

import pytest

from dwskd_monai.evaluation.cards.label import label
from dwskd_monai.evaluation.html.numbers import number_text
from dwskd_monai.evaluation.measuring import Measured
from tests.evaluation.cards.made import evaluated_facts, facts, metrics_of
from tests.evaluation.page.made import evaluated
from tests.evaluation.page.test_page import Page


def shown(measured: Measured) -> str:
    assert not isinstance(measured, str)
    text = number_text(measured)
    return f"{text.value}{text.interval}, n = {text.n}"


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3])
def test_each_class_has_its_numbers_with_intervals(classes):
    known = evaluated_facts(classes)
    page = Page(label(known))
    for name in known.class_names:
        assert shown(known.measured("study", "classes", name, "auc")) in page.text
        for rate in ("sensitivity", "specificity", "ppv", "npv"):
            assert shown(known.measured("study", "classes", name, "predicted", rate)) in page.text
        of_class = known.report["study"]["classes"][name]["n"]
        assert f"{100 * of_class / 160:.0f} %{of_class} of 160" in page.text
    assert "Measured on 160 studies (160 patients): the test images." in page.text
    assert "Research only. Not a medical device." in page.text
    assert not [value for _, name, value in page.attributes if name in ("src", "href")]


def test_without_an_evaluation_it_says_so():
    page = Page(label(facts()))
    assert "The network was not evaluated, so nothing was measured." in page.text
    assert page.text.count("not measured") == 3 * 6 + 5 + 1


def test_what_nobody_stated_says_so_and_what_is_stated_is_shown():
    assert "contact not stated" in Page(label(facts())).text
    assert "intended use not stated" in Page(label(facts(metadata={}))).text
    page = Page(label(facts(stated={"contact": "a <b> & c", "population": "adults"})))
    assert "contact a <b> & c" in page.text
    assert "patients adults" in page.text


def test_few_images_have_words():
    page = Page(label(facts(2, metrics_of(evaluated(12, 2, per_patient=1)))))
    assert "too few (n = 12)" not in page.text, "12 patients are enough for all of them together"
    assert "too few (n = " in page.text


def test_many_classes_stay_on_one_sheet():
    names = [f"class {number}" for number in range(11)]
    page = Page(label(facts(class_names=names)))
    assert "3 more classes are in report.html." in page.text
    assert "class 7 not measured" in page.text
    assert "class 8 not measured" not in page.text
