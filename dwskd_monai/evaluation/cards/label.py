"""A Model Facts label: one sheet for those who use a network's predictions.

The parts are those of Sendak et al., Presenting machine learning model information to clinical end users with model
facts labels (npj Digital Medicine 2020, 3:41).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dwskd_monai.evaluation.cards.facts import NOT_MEASURED, Facts
from dwskd_monai.evaluation.html.numbers import number_text
from dwskd_monai.evaluation.html.rendering import render
from dwskd_monai.evaluation.measuring import Measured

MOST_CLASSES = 8  # on one sheet; the report has all
MOST_LIMITS = 5
_TEMPLATE = Path(__file__).with_name("label.html.jinja")
_RATES = {"sensitivity": "sensitivity", "specificity": "specificity", "ppv": "PPV", "npv": "NPV"}


def label(facts: Facts) -> str:
    """The label as a page that needs no other file, and prints on one sheet."""
    return render(
        _TEMPLATE,
        name=facts.about("name"),
        version=facts.about("version"),
        weights=facts.weights_sha256 or "unknown",
        summary=facts.about("description"),
        mechanism=_mechanism(facts),
        evaluation=facts.evaluation,
        overall={
            "balanced accuracy": _in_two(facts.measured("study", "macro", "sensitivity")),
            "accuracy": _in_two(facts.measured("study", "macro", "accuracy")),
            "macro AUC": _in_two(facts.measured("study", "macro", "auc")),
            "Brier score (0 to 2)": _in_two(facts.measured("calibration", "after", "brier")),
            "unlike the training images": _in_two(facts.measured("novelty", "unlike")),
        },
        columns=["prevalence", "AUC", *_RATES.values()],
        rows={name: _row(facts, name) for name in facts.class_names[:MOST_CLASSES]},
        left_out=len(facts.class_names[MOST_CLASSES:]),
        uses=_uses(facts),
        warnings=_warnings(facts),
        other=_other(facts),
    )


def _mechanism(facts: Facts) -> dict[str, str]:
    return {
        "outcome": f"which class a study is of: {', '.join(facts.class_names)}",
        "output": "a probability for each class; how it was calibrated is in models/model.yaml",
        "patients": facts.said("population"),
        "time of the prediction": facts.said("workflow"),
        "input": f"{facts.about('image_classes')}; {facts.about('data_type')}",
        "where and when its training images were made": facts.said("data_sources"),
        "trained on": facts.network["trained on"],
        "kind of model": f"{facts.network['student']}, {facts.parameters:,} parameters",
    }


def _row(facts: Facts, name: str) -> list[tuple[str, str]]:
    """The numbers of a class, each with what stands below it."""
    prevalence: tuple[str, str] = (NOT_MEASURED, "")
    if facts.report:
        of_class, of_all = facts.report["study"]["classes"][name]["n"], facts.report["data"]["studies"]
        prevalence = (f"{100 * of_class / of_all:.0f} %", f"{of_class:,} of {of_all:,}")
    rates = [facts.measured("study", "classes", name, "predicted", rate) for rate in _RATES]
    return [prevalence, *map(_in_two, [facts.measured("study", "classes", name, "auc"), *rates])]


def _in_two(measured: Measured) -> tuple[str, str]:
    """A number, and its interval and n; words alone."""
    if isinstance(measured, str):
        first, several, _ = measured.partition("; ")
        return (f"{first}, and others" if several else first), ""
    shown = number_text(measured)
    return shown.value, f"{shown.interval}, n = {shown.n}"


def _uses(facts: Facts) -> dict[str, str]:
    return {
        "intended use": facts.about("intended_use"),
        "users": facts.said("users"),
        "benefits": facts.said("benefits"),
        "before use": "Evaluate it on labeled images of the place where it will be used (dwskd evaluate), and look at "
        "report.html.",
    }


def _warnings(facts: Facts) -> dict[str, Any]:
    found = facts.report.get("shortcuts", {}).get("found", [])  # of all limits, these matter most
    limits = [*found, *(limit for limit in facts.report.get("limits", []) if limit not in found)]
    more = len(limits[MOST_LIMITS:])
    if more:
        limits = [*limits[:MOST_LIMITS], f"{more} more: report.html"]
    return {
        "limits that were measured": limits or [NOT_MEASURED],
        "limits of the bundle": [facts.section("Limitations")],
        "must not be used": [facts.said("out_of_scope")],
        "do not rely on": ["studies whose column unlike_training is true, and those with a note, in predictions.csv"],
    }


def _other(facts: Facts) -> dict[str, str]:
    return {
        "how the true class was found": facts.said("reference_standard"),
        "regulatory status and risk": facts.said("regulatory"),
        "publications": facts.said("publications"),
        "ethics": facts.said("ethics"),
        "contact": facts.said("contact"),
    }
