"""The Applied Model Card of the Coalition for Health AI (CHAI), version 0.2, as XML.

Elements and their order are those of https://mc.chai.org/v0.2/schema.xsd; all of them are required, so an element of
which nothing is known says so. Values of metrics are JSON in a text, as in the examples beside that schema.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from dwskd_monai.evaluation.cards.facts import NOT_MEASURED, Facts
from dwskd_monai.evaluation.measuring import Measured
from dwskd_monai.evaluation.page.words import calibration_text, of_subgroups

NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"
_Content = Mapping[str, Any]
_Result = tuple[str, Measured, str | None]  # label, number, unit
_SHARES = {"sensitivity": "sensitivity", "specificity": "specificity", "ppv": "PPV", "npv": "NPV"}


def applied_model_card(facts: Facts) -> str:
    """The card as an XML document."""
    root = ElementTree.Element("AppliedModelCard", xmlns=NAMESPACE)
    _fill(root, _content(facts))
    ElementTree.indent(root, "\t")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def value_json(measured: Measured, unit: str | None = None) -> str:
    """A number for ``ValueJson``; shares in percent if the unit is ``%``. Words stay words.

    Examples:
        >>> value_json({"value": 0.9, "low": 0.85, "high": 0.95, "n": 80}, "%")
        '{"kind": "estimate_ci", "estimate": 90.0, "lower": 85.0, "upper": 95.0, "level": 95, "unit": "%"}'
        >>> value_json("too few (n = 7)")
        '{"kind": "text", "text": "too few (n = 7)"}'
    """
    if isinstance(measured, str):
        return json.dumps({"kind": "text", "text": measured}, ensure_ascii=False)
    factor = 100 if unit == "%" else 1
    of_unit = {} if unit is None else {"unit": unit}
    value = round(factor * measured["value"], 4)
    low, high = measured.get("low"), measured.get("high")
    if low is None or high is None:
        return json.dumps({"kind": "single", "value": value, **of_unit})
    ends = {"lower": round(factor * low, 4), "upper": round(factor * high, 4), "level": 95}
    return json.dumps({"kind": "estimate_ci", "estimate": value, **ends, **of_unit})


def _fill(parent: ElementTree.Element, content: _Content) -> None:
    for name, value in content.items():
        child = ElementTree.SubElement(parent, name)
        if isinstance(value, Mapping):
            _fill(child, value)
        elif isinstance(value, list):
            for item in value:
                _fill(child, item)
        else:
            child.text = _allowed(value)


def _allowed(text: str) -> str:
    """Without the control characters that XML cannot have."""
    return "".join(one for one in text if one in "\n\t" or unicodedata.category(one) not in ("Cc", "Cs"))


def _content(facts: Facts) -> _Content:
    return {
        "BasicInfo": {
            "ModelName": facts.about("name"),
            "ModelDeveloper": facts.about("authors"),
            "DeveloperContact": facts.said("contact"),
        },
        "ReleaseInfo": {
            "ReleaseStage": facts.about("intended_use"),
            "ReleaseDate": facts.said("release_date"),
            "ReleaseVersion": f"{facts.about('version')}, weights {facts.weights_sha256 or 'unknown'}",
            "GlobalAvailability": facts.said("availability"),
            "RegulatoryApproval": facts.said("regulatory"),
        },
        "ModelSummary": {
            "Summary": facts.about("description"),
            "Keywords": [{"Keyword": word.strip()} for word in facts.section("Tags").split(",")],
        },
        "UsesAndDirections": {
            "IntendedUseAndWorkflow": f"{facts.about('intended_use')} Workflow: {facts.said('workflow')}",
            "PrimaryIntendedUsers": facts.said("users"),
            "HowToUse": "dwskd predict BUNDLE STUDIES; the bundle's docs/README.md has all commands",
            "TargetedPatientPopulation": facts.said("population"),
            "CautionedOutOfScopeSettings": facts.said("out_of_scope"),
        },
        "Warnings": {
            "KnownRisksAndLimitations": "\n".join([facts.section("Limitations"), *facts.report.get("limits", [])]),
            "KnownBiasesOrEthicalConsiderations": facts.said("ethics"),
            "ClinicalRiskLevel": facts.said("regulatory"),
        },
        "TrustIngredients": {"AISystemFacts": _system(facts), "TransparencyInformation": _transparency(facts)},
        "KeyMetrics": {
            "UsefulnessUsabilityEfficacy": _key_metric(
                facts, "How well it tells the classes apart", _efficacy(facts), facts.report.get("summary", [])
            ),
            "FairnessEquity": _key_metric(
                facts,
                "Whether it is worse for some groups of patients",
                _fairness(facts),
                of_subgroups(facts.report.get("subgroups", {}).get("columns", {})),
            ),
            "SafetyReliability": _key_metric(
                facts,
                "Whether probabilities mean what they say, and how many studies are unlike those of the training",
                _reliability(facts),
                [calibration_text((facts.metrics or {}).get("evidence", {}))],
            ),
        },
        "Resources": {
            "EvaluationReferences": "report.html and metrics.json" if facts.report else NOT_MEASURED,
            "PeerReviewedPublications": facts.said("publications"),
            "PatientConsentOrDisclosure": facts.said("consent"),
        },
        "Bibliography": "\n".join(_bibtex(facts.metadata.get("references", []))),
    }


def _system(facts: Facts) -> _Content:
    network = facts.network
    return {
        "OutcomesAndOutputs": f"A probability for each of the classes {', '.join(facts.class_names)}; their operating "
        "points, a prediction set, and a score of how unlike the training images a study is, if these were fitted",
        "ModelType": f"{network['student']}, {facts.parameters:,} parameters, image size {network['image size']}",
        "FoundationModels": f"Students begin with a subset of the weights of a teacher: {facts.teacher}",
        "InputDataSource": facts.said("data_sources"),
        "OutputAndInputDataTypes": f"Input: {facts.about('data_type')}; {facts.about('image_classes')}. "
        f"Output: {facts.about('pred_classes')}.",
        "DevelopmentDataCharacterization": network["trained on"],
        "BiasMitigationApproaches": "All images of a patient are in one split, if patients are known. How the network "
        "does in groups of patients is below, if it was measured; nothing else was done.",
        "OngoingMaintenance": facts.said("maintenance"),
        "Security": facts.said("security"),
        "Transparency": f"Best epoch: {network['best epoch']}. Changed settings: {network['changed settings']}. "
        f"Versions: {network['versions of the training']}.",
    }


def _transparency(facts: Facts) -> _Content:
    return {
        "FundingSource": facts.said("funding"),
        "ThirdPartyInformation": f"teacher: {facts.teacher}",
        "StakeholdersConsulted": facts.said("stakeholders"),
    }


def _key_metric(facts: Facts, goal: str, results: Sequence[_Result], interpretation: Iterable[str]) -> _Content:
    described = {
        "Interpretation": NOT_MEASURED,
        "TestType": NOT_MEASURED,
        "TestingDataDescription": facts.evaluation,
        "ValidationProcessAndJustification": NOT_MEASURED,
    }
    if facts.report:
        how = f"Intervals: {facts.report['intervals']}. report.html says how each of them is made."
        described["Interpretation"] = " ".join(interpretation)
        described["TestType"] = facts.said("study_design")
        described["ValidationProcessAndJustification"] = how
    return {"MetricGoal": goal, "Results": [_shown(*result) for result in results], **described}


def _shown(label: str, measured: Measured, unit: str | None) -> _Content:
    count = "" if isinstance(measured, str) else f" (n = {measured['n']:,})"
    return {"MetricResult": {"Label": f"{label}{count}", "ValueJson": value_json(measured, unit)}}


def _efficacy(facts: Facts) -> list[_Result]:
    results: list[_Result] = [
        ("macro AUC", facts.measured("study", "macro", "auc"), None),
        ("balanced accuracy", facts.measured("study", "macro", "sensitivity"), "%"),
        ("accuracy", facts.measured("study", "macro", "accuracy"), "%"),
    ]
    for name in facts.class_names:
        results.append((f"{name}: AUC", facts.measured("study", "classes", name, "auc"), None))
        for rate, label in _SHARES.items():
            results.append((f"{name}: {label}", facts.measured("study", "classes", name, "predicted", rate), "%"))
    return results


def _fairness(facts: Facts) -> list[_Result]:
    results: list[_Result] = []
    for column, groups in facts.report.get("subgroups", {}).get("columns", {}).items():
        for name, row in groups.items():
            results.append((f"{column} {name}: accuracy", row["accuracy"], "%"))
            results.append((f"{column} {name}: accuracy, less that of all other studies", row["difference"], "%"))
    return results or [("accuracy in groups of patients", NOT_MEASURED, None)]


def _reliability(facts: Facts) -> list[_Result]:
    results: list[_Result] = [
        ("Brier score (0 to 2)", facts.measured("calibration", "after", "brier"), None),
        ("studies unlike the training images", facts.measured("novelty", "unlike"), "%"),
    ]
    for name in facts.report.get("prediction_sets", {}):
        covered = facts.measured("prediction_sets", name, "coverage")
        results.append((f"{name}: prediction sets that have it", covered, "%"))
    return results


def _bibtex(references: list[str]) -> Iterator[str]:
    """References as BibTeX, which the schema asks for: their texts as notes, since nobody knows their parts."""
    for number, reference in enumerate(references, start=1):
        text = "".join(one for one in reference if one not in "{}")
        yield f"@misc{{reference{number}, note = {{{text}}}}}"
