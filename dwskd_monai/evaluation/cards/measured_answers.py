"""What an evaluation answers to the items of checklists for authors; None: it was not measured."""

from __future__ import annotations

from typing import Any

from dwskd_monai.evaluation.cards.answers import Answer, page_section
from dwskd_monai.evaluation.cards.facts import Facts
from dwskd_monai.evaluation.page.words import count_text


def summary(facts: Facts) -> Answer | None:
    """The summary of the evaluation."""
    sentences = facts.report.get("summary")
    return Answer(" ".join(sentences), page_section("summary")) if sentences else None


def metrics(facts: Facts) -> Answer | None:
    """What was measured."""
    if not facts.report:
        return None
    return Answer(
        "AUC, average precision, sensitivity, specificity, predictive values, F1, likelihood ratios; Brier score and "
        "calibration; net benefit; errors against coverage",
        page_section("Each class"),
    )


def uncertainty(facts: Facts) -> Answer | None:
    """How intervals are made."""
    clusters = facts.report.get("intervals")
    return None if clusters is None else Answer(f"intervals: {clusters}", page_section("summary"))


def robustness(facts: Facts) -> Answer | None:
    """Whether it holds for images that are unlike those of the training, and whether shortcuts tell the classes."""
    texts = []
    places = []
    if not isinstance(facts.measured("novelty", "unlike"), str):
        without = facts.number("novelty", "performance", "like", "balanced_accuracy")
        texts.append(f"studies unlike the training images: {facts.number('novelty', 'unlike')}")
        texts.append(f"balanced accuracy without them: {without}")
        places.append(page_section("Images unlike those of the training"))
    shortcuts = facts.report.get("shortcuts", {"reason": "not looked for"})
    if "reason" not in shortcuts:
        texts.append(f"shortcuts: {' '.join(shortcuts['found']) or 'none was found'}")
        places.append(page_section("Shortcuts"))
    return Answer("; ".join(texts), ", ".join(places)) if texts else None


def explanations(facts: Facts) -> Answer | None:
    """Whether it is shown what the predictions come from."""
    found = facts.report.get("explanations")
    if not found or "reason" in found:
        return None
    return Answer("maps of what the predictions come from", page_section("What the network looked at"))


def internal_testing(facts: Facts) -> Answer | None:
    """What was evaluated."""
    return Answer(facts.evaluation, page_section("What was evaluated")) if facts.report else None


def counts(facts: Facts) -> Answer | None:
    """How many studies of each class there are."""
    if not facts.report:
        return None
    classes = facts.report["data"]["classes"].items()
    shown = ", ".join(f"{name} {one['studies']:,}" for name, one in classes)
    refused = count_text((facts.metrics or {}).get("refused_images", 0), "image")
    return Answer(f"{shown}; refused: {refused}", page_section("What was evaluated"))


def characteristics(facts: Facts) -> Answer | None:
    """How many studies there are in groups of patients."""
    columns: dict[str, Any] = facts.report.get("subgroups", {}).get("columns", {})
    if not columns:
        return None
    shown = [
        f"{column} {name}: {row['studies']:,}" for column, groups in columns.items() for name, row in groups.items()
    ]
    return Answer(f"of the evaluated studies only: {', '.join(shown)}", page_section("Subgroups"))


def subgroups(facts: Facts) -> Answer | None:
    """The accuracy in groups of patients."""
    columns: dict[str, Any] = facts.report.get("subgroups", {}).get("columns", {})
    if not columns:
        return None
    shown = [
        f"{column} {name} {facts.number('subgroups', 'columns', column, name, 'accuracy')}"
        for column, groups in columns.items()
        for name in groups
    ]
    return Answer(f"accuracy: {'; '.join(shown)}", page_section("Subgroups"))


def sites(facts: Facts) -> Answer | None:
    """How the network does at each site."""
    found = facts.report.get("sites")
    if not found or "sites" not in found:
        return None
    shown = [f"{name} {facts.number('sites', 'sites', name, 'balanced_accuracy')}" for name in found["sites"]]
    return Answer(f"balanced accuracy: {'; '.join(shown)}", page_section("Sites"))


def performance(facts: Facts) -> Answer | None:
    """How good the network is on average over the classes."""
    if not facts.report:
        return None
    return Answer(
        f"macro AUC {facts.number('study', 'macro', 'auc')}; balanced accuracy "
        f"{facts.number('study', 'macro', 'sensitivity')}",
        page_section("Each class"),
    )


def diagnostic_performance(facts: Facts) -> Answer | None:
    """Sensitivity and specificity of each class."""
    if not facts.report:
        return None
    shown = [
        f"{name}: sensitivity {facts.number('study', 'classes', name, 'predicted', 'sensitivity')}, specificity "
        f"{facts.number('study', 'classes', name, 'predicted', 'specificity')}"
        for name in facts.class_names
    ]
    return Answer("; ".join(shown), page_section("Each class"))


def failures(facts: Facts) -> Answer | None:
    """The studies that are predicted wrongly."""
    if not facts.report:
        return None
    wrong, count = facts.report["failure_count"], facts.report["data"]["studies"]
    return Answer(f"{count_text(wrong, 'study')} of {count:,} predicted wrongly", page_section("Errors"))


def limitations(facts: Facts) -> Answer | None:
    """What the numbers do not say."""
    limits = facts.report.get("limits")
    return Answer(f"{len(limits)} sentences", page_section("Limits")) if limits else None


def updating(facts: Facts) -> Answer | None:
    """Whether the evaluation changed the network."""
    return Answer("none: the evaluation changes nothing", page_section("The network")) if facts.report else None
