"""Checklists: all items, in order; each place exists; what was not done says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dwskd_monai.evaluation import page
from dwskd_monai.evaluation.cards.answers import page_section
from dwskd_monai.evaluation.cards.checklists import CLAIM, TRIPOD_AI, answer_to, checklist_page
from dwskd_monai.evaluation.cards.facts import STATED
from dwskd_monai.evaluation.page.network import Trained
from tests.evaluation.cards.made import evaluated_facts, facts

PARTS = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc", 23: "ab", 27: "abc"}


def rows(page: str) -> dict[str, list[str]]:
    """The cells of each row, by its number and checklist."""
    _, claim, tripod = page.split("\n## ")
    found = {}
    for name, part in (("C", claim), ("T", tripod)):
        for line in part.splitlines():
            if line.startswith("| ") and not line.startswith("| item"):
                number, *cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
                found[name + number] = cells
    return found


def test_all_44_items_of_claim_and_all_52_of_tripod_ai_are_there_in_order():
    assert [item.number for item in CLAIM] == [str(number) for number in range(1, 45)]
    expected = [f"{number}{part}" for number in range(1, 28) for part in PARTS.get(number, [""])]
    assert [item.number for item in TRIPOD_AI] == expected
    assert len(expected) == 52
    assert {item.key for item in (*CLAIM, *TRIPOD_AI)} - {None} <= set(STATED)


def test_an_answer_has_its_number_and_a_place():
    known = evaluated_facts()
    text = checklist_page(known)
    found = rows(text)
    assert len(found) == 96
    assert known.number("study", "macro", "auc") in found["C37"][1]
    assert known.number("study", "classes", "ill", "predicted", "specificity") in found["C38"][1]
    assert found["C35"][2] == "report.html: What was evaluated"
    assert "sex F: 80, sex M: 80, site A: 60, site B: 100" in found["C36"][1]
    assert found["C30"][1].startswith("studies unlike the training images: 0.125 (")
    assert known.number("novelty", "performance", "like", "balanced_accuracy") in found["C30"][1]
    assert known.number("sites", "sites", "B", "balanced_accuracy") in found["C33"][1]
    assert found["C44"] == ["funding", "not done; authors can state funding: who paid for the work, and their role", ""]
    answered = [cells for name, cells in found.items() if name[0] == "C" and not cells[1].startswith("not done")]
    assert f"## CLAIM 2024: {len(answered)} of 44 items are answered" in text
    assert all(cells[2] for cells in answered)


def test_each_place_on_the_page_is_one_of_its_headings():
    template = "".join(path.read_text() for path in Path(page.__file__).parent.glob("*.jinja"))
    headings = {re.sub(r"^\d+\. ", "", title) for title in re.findall(r"<h[23]>(.*?)</h[23]>", template)} | {"summary"}
    known = evaluated_facts()
    answers = [answer_to(item, known) for item in (*CLAIM, *TRIPOD_AI)]
    places = {answer.place for answer in answers if answer is not None}
    of_page = {place for place in places if place.startswith("report.html")}
    assert len(of_page) > 5
    assert of_page <= {page_section(title) for title in headings}


def test_without_an_evaluation_numbers_are_not_done():
    found = rows(checklist_page(facts()))
    for name in ("C2", "C28", "C29", "C32", "C35", "C37", "C38", "C39", "C40", "T20a", "T23a", "T26"):
        assert found[name][1] == "not done", name
    assert found["C22"][1].startswith("convnext_atto, 3,374,203 parameters")


def test_a_network_of_which_nothing_is_recorded_answers_little():
    found = rows(checklist_page(facts(trained=Trained(), weights_sha256=None)))
    for name in ("C9", "C10", "C12", "C19", "C22", "C23", "C24", "C25", "C26", "C27"):
        assert found[name][1] == "not done", name


def test_what_authors_state_comes_first_and_cannot_break_the_table():
    found = rows(checklist_page(evaluated_facts(stated={"availability": "on request | or\nnot", "external": "yes"})))
    assert found["C43"][1:] == ["on request \\| or not", "stated by the authors"]
    assert found["C33"][1] == found["T16"][1] == "yes"


@pytest.mark.slow
def test_shortcuts_and_explanations_are_answers_if_the_report_has_them():
    known = evaluated_facts()
    report = {**known.report, "shortcuts": {"found": ["Borders alone tell ill."]}, "explanations": {"maps": 3}}
    found = rows(checklist_page(evaluated_facts(metrics={**known.metrics, "report": report})))
    assert found["C30"][1].endswith("shortcuts: Borders alone tell ill.")
    assert found["C30"][2].endswith("report.html: Shortcuts")
    assert found["C31"][2] == "report.html: What the network looked at"
    report |= {"shortcuts": {"reason": "shortcuts is false"}, "explanations": {"reason": "explained is 0"}}
    found = rows(checklist_page(evaluated_facts(metrics={**known.metrics, "report": report})))
    assert "shortcuts" not in found["C30"][1]
    assert found["C31"][1] == "not done"


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3])
def test_numbers_are_of_all_classes(classes):
    known = evaluated_facts(classes)
    answer = rows(checklist_page(known))["C38"][1]
    assert [name for name in ("healthy", "ill", "very ill") if f"{name}: sensitivity" in answer] == list(
        known.class_names
    )
