"""The card is valid against the schema of CHAI; its numbers are those of the report."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema

from dwskd_monai.evaluation.cards.chai import NAMESPACE, applied_model_card
from dwskd_monai.evaluation.cards.facts import NOT_MEASURED, NOT_STATED, Facts
from dwskd_monai.evaluation.page.network import Trained
from tests.evaluation.cards.made import evaluated_facts, facts, metrics_of
from tests.evaluation.page.made import evaluated

SCHEMA = Path(__file__).parent / "schema" / "applied_model_card_v0.2.xsd"
# xmlschema has the schema of signatures, which is imported from the network otherwise
SIGNATURES = Path(xmlschema.__file__).parent / "schemas" / "DSIG" / "xmldsig-core-schema.xsd"
IMPORTED = {"http://www.w3.org/2000/09/xmldsig#": str(SIGNATURES)}


@pytest.fixture(scope="module")
def schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(SCHEMA, locations=IMPORTED, allow="local")


def text(card: str, path: str) -> str:
    found = ElementTree.fromstring(card.encode()).find("/".join(f"{{{NAMESPACE}}}{part}" for part in path.split("/")))
    assert found is not None, path
    return found.text or ""


def results(card: str, part: str) -> dict[str, dict]:
    name = f".//{{{NAMESPACE}}}{part}//{{{NAMESPACE}}}MetricResult"
    pairs = [[child.text or "" for child in one] for one in ElementTree.fromstring(card.encode()).iterfind(name)]
    return {label: json.loads(value) for label, value in pairs}


CASES = {
    "two classes": lambda: evaluated_facts(2),
    "three classes": lambda: evaluated_facts(3),
    "12 images": lambda: facts(2, metrics_of(evaluated(12, 2, per_patient=1))),
    "no evaluation": lambda: facts(2),
    "an evaluation without a report": lambda: facts(2, {"study": {"overall": {"count": 12.0}}, "split": "test"}),
    "nothing recorded": lambda: facts(2, trained=Trained(), weights_sha256=None, page="## Performance\n"),
    "metadata with little": lambda: facts(2, metadata={"version": "1"}),
    "characters that XML has not": lambda: facts(2, stated={"funding": "a < b & c\x00\x1f \U0001f9e0"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_each_card_is_valid(case, schema):
    card = applied_model_card(CASES[case]())
    schema.validate(card)
    assert all(one for one in ElementTree.fromstring(card.encode()).itertext()), "no element is empty"


def test_the_schema_finds_a_missing_or_misplaced_element(schema):
    card = applied_model_card(facts())
    assert not schema.is_valid(card.replace("<FundingSource>not stated</FundingSource>", ""))
    assert not schema.is_valid(card.replace("ModelName", "Name"))


def of_report(known: Facts, *path: str) -> dict:
    number = known.measured(*path)
    assert not isinstance(number, str)
    return dict(number)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3])
def test_metrics_have_the_estimates_intervals_and_n_of_the_report(classes):
    known = evaluated_facts(classes)
    card = applied_model_card(known)
    auc = of_report(known, "study", "macro", "auc")
    assert results(card, "UsefulnessUsabilityEfficacy")["macro AUC (n = 160)"] == {
        "kind": "estimate_ci", "estimate": pytest.approx(auc["value"], abs=1e-4), "level": 95,
        "lower": pytest.approx(auc["low"], abs=1e-4), "upper": pytest.approx(auc["high"], abs=1e-4),
    }  # fmt: skip
    found = of_report(known, "study", "classes", "ill", "predicted", "sensitivity")
    assert results(card, "UsefulnessUsabilityEfficacy")[f"ill: sensitivity (n = {found['n']})"] == {
        "kind": "estimate_ci", "estimate": pytest.approx(100 * found["value"], abs=1e-4), "level": 95, "unit": "%",
        "lower": pytest.approx(100 * found["low"], abs=1e-4), "upper": pytest.approx(100 * found["high"], abs=1e-4),
    }  # fmt: skip
    of_site = of_report(known, "subgroups", "columns", "site", "A", "difference")
    shown = results(card, "FairnessEquity")["site A: accuracy, less that of all other studies (n = 160)"]
    assert shown["estimate"] == pytest.approx(100 * of_site["value"], abs=1e-4)
    assert "Brier score (0 to 2) (n = 160)" in results(card, "SafetyReliability")
    assert results(card, "SafetyReliability")["studies unlike the training images (n = 160)"]["estimate"] == 12.5
    assert text(card, "KeyMetrics/FairnessEquity/Interpretation").startswith("The smallest group of sex is")


def test_without_an_evaluation_nothing_is_a_number():
    card = applied_model_card(facts())
    for part in ("UsefulnessUsabilityEfficacy", "FairnessEquity", "SafetyReliability"):
        assert {one["kind"] for one in results(card, part).values()} == {"text"}
        assert text(card, f"KeyMetrics/{part}/Interpretation") == NOT_MEASURED
    assert text(card, "Resources/EvaluationReferences") == NOT_MEASURED


def test_few_images_have_words_in_place_of_numbers():
    card = applied_model_card(facts(2, metrics_of(evaluated(12, 2, per_patient=1))))
    found = results(card, "UsefulnessUsabilityEfficacy")["ill: sensitivity"]
    assert found["text"].startswith("too few (n = ")


def test_what_authors_state_is_in_its_element():
    card = applied_model_card(facts(stated={"funding": "own means", "population": "adults"}))
    assert text(card, "TrustIngredients/TransparencyInformation/FundingSource") == "own means"
    assert text(card, "UsesAndDirections/TargetedPatientPopulation") == "adults"
    assert text(card, "BasicInfo/DeveloperContact") == NOT_STATED
