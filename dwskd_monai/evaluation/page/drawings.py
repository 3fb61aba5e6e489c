"""Which figures the report has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dwskd_monai.evaluation.html.picture import Picture
from dwskd_monai.evaluation.page import figures
from dwskd_monai.evaluation.page.abstention import abstention
from dwskd_monai.evaluation.page.content import Level, Measurements
from dwskd_monai.evaluation.page.decisions import net_benefit
from dwskd_monai.evaluation.page.novelty_figures import novelty_figures, site_figures
from dwskd_monai.evaluation.page.rates import predictive_values

MOST_CLASSES = 12  # with figures; the tables have all
_PREVALENCES = np.geomspace(0.005, 0.95, 60)
_THRESHOLDS = np.linspace(0.01, 0.99, 50)
_CONFIDENCES = tuple(np.linspace(0, 1, 41).tolist())
Pictures = dict[str, list[Picture]]  # by their part of the page


def drawings(measured: Measurements) -> Pictures:
    """The figures of each part of the page: of at most 12 classes, those that come first."""
    names = [name for name in measured.class_names if name in measured.curves][:MOST_CLASSES]
    return {
        "prevalence": [_predictive(measured, name) for name in names],
        "curves": [picture for name in names for picture in _of_class(measured, name)],
        "decisions": [_decision(measured, name) for name in names],
        "calibration": list(_calibration(measured, names)),
        "abstention": list(_abstention(measured.studies)),
        "novelty": novelty_figures(measured.content["novelty"]),
        "sites": site_figures(measured.content["sites"], measured.content["novelty"]),
    }


def _of_class(measured: Measurements, name: str) -> Iterator[Picture]:
    curves = measured.curves[name]
    point = measured.content["study"]["classes"][name].get("operating_point")
    rates = None if point is None else (point["sensitivity"]["value"], point["specificity"]["value"])
    yield figures.roc(name, curves, rates)
    yield figures.precision_recall(name, curves, _prevalence(measured, name))


def _prevalence(measured: Measurements, name: str) -> float:
    return float((measured.studies.labels == measured.class_names.index(name)).mean())


def _predictive(measured: Measurements, name: str) -> Picture:
    index = measured.class_names.index(name)
    studies = measured.studies
    flagged = studies.probabilities.argmax(1) == index
    values = predictive_values(flagged, studies.labels == index, studies.resamples, _PREVALENCES)
    return figures.predictive(name, _PREVALENCES, *values, _prevalence(measured, name))


def _decision(measured: Measurements, name: str) -> Picture:
    index = measured.class_names.index(name)
    studies = measured.studies
    scores = studies.probabilities[:, index]
    benefits = net_benefit(scores, studies.labels == index, studies.resamples, _THRESHOLDS)
    return figures.decision(name, _THRESHOLDS, *benefits)


def _calibration(measured: Measurements, names: list[str]) -> Iterator[Picture]:
    for when, parts in measured.content["calibration"].items():
        if any(not isinstance(one["share"], str) for one in parts["confidence"]):
            yield figures.reliability(f"Predicted class, {when} calibration", parts["confidence"], "that is right")
    of_class = measured.content["calibration"]["after"]["classes"]
    for name in names:
        yield figures.reliability(f"{name}, after calibration", of_class[name], f"of {name}")


def _abstention(studies: Level) -> Iterator[Picture]:
    rows = abstention(studies.probabilities, studies.labels, studies.groups, _CONFIDENCES)
    if any(not isinstance(row["coverage"], str) for row in rows):
        yield figures.abstention(rows)
