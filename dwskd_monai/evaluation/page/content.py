"""Everything that the report says, as plain values for ``metrics.json``, and the curves of its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.aggregation import Probabilities
from dwskd_monai.evaluation.areas import area_record, auc_record, mean_area_record
from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.explanations.explaining import Explained
from dwskd_monai.evaluation.fitting import clusters, patient_groups
from dwskd_monai.evaluation.intervals import Groups, group_count, groups_of, too_few
from dwskd_monai.evaluation.measuring import LEAST_PATIENTS, Measured, share
from dwskd_monai.evaluation.page.abstention import abstention, prediction_sets
from dwskd_monai.evaluation.page.against import against
from dwskd_monai.evaluation.page.curves import ClassCurves, class_curves
from dwskd_monai.evaluation.page.decisions import THRESHOLDS, net_benefit
from dwskd_monai.evaluation.page.explanations import explanations
from dwskd_monai.evaluation.page.failures import failures
from dwskd_monai.evaluation.page.novelty import novelty
from dwskd_monai.evaluation.page.rates import PREVALENCES, class_rates, macro_rows, predictive_values
from dwskd_monai.evaluation.page.reliability import brier_score, confidence_bins, reliability
from dwskd_monai.evaluation.page.shortcuts import shortcuts
from dwskd_monai.evaluation.page.sites import sites
from dwskd_monai.evaluation.page.subgroups import Columns, subgroups
from dwskd_monai.evaluation.page.subsets import Predictions
from dwskd_monai.evaluation.page.words import limits, summary
from dwskd_monai.evaluation.resampling import Resamples, lacking, record
from dwskd_monai.evaluation.shortcuts.collecting import Seen

Labels = NDArray[np.integer]


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation predicted.

    Args:
        studies: names of the studies.
        probabilities: ``(N, K)`` of the studies, before they are calibrated.
        labels: ``(N,)``, indices of their classes.
        patients: of each study; None: unknown.
        slices: probabilities ``(S, K)`` of the slices of each study, as the network gives them.
        class_names: K names.
        evidence: what the training fitted.
        columns: further columns of the datalist, with a value for each study.
        seen: what there is to tell the classes, other than whole images; None: not looked at.
        explained: maps and pictures of some studies; None: there are none.
        novelty: how unlike the training images each study is; None, or empty: there is no score.
        other: calibrated probabilities ``(N, K)`` of another network; None: there is none.
    """

    studies: Sequence[str]
    probabilities: Probabilities
    labels: Labels
    patients: Sequence[str | None]
    slices: Sequence[Probabilities]
    class_names: Sequence[str]
    evidence: Evidence
    columns: Columns = field(default_factory=dict)
    seen: Seen | None = None
    explained: Explained | None = None
    novelty: Sequence[float | None] = ()
    other: Probabilities | None = None

    @property
    def calibrated(self) -> Probabilities:
        """The probabilities that inference says."""
        return self.evidence.calibrated(self.probabilities)

    @property
    def slice_counts(self) -> list[int]:
        """How many slices each study has."""
        return [len(one) for one in self.slices]


@dataclass(frozen=True)
class Level:
    """Studies, or slices, with all that their numbers are made from.

    Args:
        probabilities: ``(N, K)``.
        labels: ``(N,)``.
        groups: the patient of each.
        resamples: of these patients.
        points: operating points by class.
    """

    probabilities: Probabilities
    labels: Labels
    groups: Groups
    resamples: Resamples
    points: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurements:
    """All that the report shows.

    Args:
        content: the numbers, each a map with ``value``, ``low``, ``high`` and ``n``, or words.
        studies: what they were made from.
        curves: of the classes that have enough patients.
        class_names: K names.
        explained: maps and pictures of some studies; None: there are none.
    """

    content: dict[str, Any]
    studies: Level
    curves: Mapping[str, ClassCurves]
    class_names: Sequence[str]
    explained: Explained | None = None


def measure(evaluated: Evaluated, origin: Mapping[str, Any], other: Mapping[str, Any] | None = None) -> Measurements:
    """The numbers of the report, what they mean in words, and the curves of its figures.

    Args:
        evaluated: what was predicted.
        origin: which network predicted which images: ``split``, ``trained_images``, ``fitted_images``,
            ``refused_images`` and ``evidence``.
        other: which network the other one is; None: there is none.
    """
    groups = patient_groups(evaluated.patients)
    names = evaluated.class_names
    points = evaluated.evidence.operating_points
    studies = Level(evaluated.calibrated, evaluated.labels, groups, Resamples(groups), points)
    of_studies, curves = measure_level(studies, names)
    content: dict[str, Any] = {
        "intervals": clusters(evaluated.patients),
        "data": counts_of(evaluated, groups),
        "study": of_studies,
    }
    if max(evaluated.slice_counts) > 1:
        content["slice"] = measure_level(slices_of(evaluated, groups), names)[0]
    for name, part in (("prevalence", by_prevalence), ("net_benefit", by_threshold)):
        content[name] = {one: part(studies, index) for index, one in enumerate(names)}
    content["calibration"] = {
        "before": calibration(evaluated.probabilities, studies, names),
        "after": calibration(studies.probabilities, studies, names),
    }
    content["abstention"] = abstention(studies.probabilities, evaluated.labels, groups)
    if evaluated.evidence.set_thresholds:
        content["prediction_sets"] = prediction_sets(
            evaluated.evidence, studies.probabilities, evaluated.labels, groups, names
        )
    right = studies.probabilities.argmax(1) == evaluated.labels
    content["subgroups"] = subgroups(evaluated.columns, right, groups, studies.resamples)
    content["shortcuts"] = shortcuts(
        evaluated.seen,
        evaluated.evidence.calibrated,
        studies.probabilities,
        evaluated.labels,
        groups,
        studies.resamples,
        names,
        patients_known=content["data"]["patients"] is not None,
    )
    content["explanations"] = explanations(
        evaluated.explained, studies.probabilities, evaluated.labels, evaluated.studies, groups, names
    )
    predictions = Predictions(studies.probabilities, evaluated.labels, groups, names)
    content["novelty"] = novelty(evaluated.novelty, evaluated.evidence, predictions)
    content["sites"] = sites(evaluated.columns, evaluated.novelty, evaluated.evidence, predictions)
    if evaluated.other is not None:
        others = replace(predictions, probabilities=evaluated.other)
        content["against"] = {**(other or {}), **against(predictions, others, studies.resamples)}
    content["failures"] = failures(studies.probabilities, evaluated.labels, evaluated.studies, names)
    content["failure_count"] = int((~right).sum())
    content["limits"] = limits(content, origin)
    content = {"summary": summary(content, origin), **content}
    return Measurements(content, studies, curves, names, evaluated.explained)


def counts_of(evaluated: Evaluated, groups: Groups) -> dict[str, Any]:
    """How many studies, patients and slices there are, in all and of each class."""
    slices = np.array(evaluated.slice_counts)

    def counts(chosen: NDArray[np.bool_]) -> dict[str, int | None]:
        members = groups_of(chosen, groups)
        known = all(name is not None for name in evaluated.patients)
        return {
            "studies": len(members),
            "patients": group_count(members) if known else None,
            "slices": int(slices[chosen].sum()),
        }

    of_class = {name: counts(evaluated.labels == index) for index, name in enumerate(evaluated.class_names)}
    return {**counts(np.ones(len(groups), dtype=bool)), "classes": of_class}


def slices_of(evaluated: Evaluated, groups: Groups) -> Level:
    """All slices, each with the class and the patient of its study."""
    counts = evaluated.slice_counts
    of_slices = [group for group, count in zip(groups, counts, strict=True) for _ in range(count)]
    labels = evaluated.labels.repeat(counts)
    return Level(np.concatenate(list(evaluated.slices)), labels, of_slices, Resamples(of_slices))


def measure_level(level: Level, class_names: Sequence[str]) -> tuple[dict[str, Any], dict[str, ClassCurves]]:
    """The numbers of each class and of all classes, and the curves."""
    predicted = level.probabilities.argmax(1)
    classes: dict[str, Any] = {}
    curves: dict[str, ClassCurves] = {}
    reasons = {}
    for index, name in enumerate(class_names):
        positive = level.labels == index
        reason = lacking(positive, level.groups)
        scores = level.probabilities[:, index]
        classes[name] = {"n": int(positive.sum()), "auc": reason, "average_precision": reason}
        if reason is None:
            curves[name] = class_curves(scores, positive, level.resamples)
            classes[name]["auc"] = auc_record(curves[name].auc, positive, level.groups)
            classes[name]["average_precision"] = area_record(curves[name].average_precision, [positive], level.groups)
        elif positive.any():
            reasons[name] = reason
        classes[name]["predicted"] = class_rates(predicted == index, positive, level.groups, level.resamples)
        if name in level.points:
            threshold = level.points[name]
            at_point = class_rates(scores >= threshold, positive, level.groups, level.resamples)
            classes[name]["operating_point"] = {"threshold": threshold, **at_point}
    right = predicted == level.labels
    overall: dict[str, Measured] = {"accuracy": share(right, np.ones(len(right), dtype=bool), level.groups)}
    overall |= _macro(level, predicted, curves, reasons)
    return {"classes": classes, "macro": overall}, curves


def _macro(
    level: Level, predicted: Labels, curves: Mapping[str, ClassCurves], reasons: Mapping[str, str]
) -> dict[str, Measured]:
    """Means over the classes that occur; words if one of them has too few patients."""
    names = ("auc", "average_precision", "sensitivity", "specificity", "ppv", "npv", "f1")
    if reasons or len(np.unique(level.labels)) < 2:
        words = "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "undefined: there is one class"
        return dict.fromkeys(names, words)
    areas = {
        "auc": [one.auc for one in curves.values()],
        "average_precision": [one.average_precision for one in curves.values()],
    }
    rates = macro_rows(predicted, level.labels, level.resamples)
    return {name: mean_area_record(rows, level.labels, level.groups) for name, rows in areas.items()} | {
        name: record(rates[name], len(predicted)) for name in names if name not in areas
    }


def by_prevalence(level: Level, index: int) -> list[dict[str, Any]] | str:
    """PPV and NPV of a class, by the predicted class, at several prevalences."""
    positive = level.labels == index
    reason = lacking(positive, level.groups)
    if reason is not None:
        return reason
    flagged = level.probabilities.argmax(1) == index
    ppv, npv = predictive_values(flagged, positive, level.resamples, np.array(PREVALENCES))
    count = len(positive)
    return [
        {"prevalence": prevalence, "ppv": record(ppv[:, place], count), "npv": record(npv[:, place], count)}
        for place, prevalence in enumerate(PREVALENCES)
    ]


def by_threshold(level: Level, index: int) -> list[dict[str, Any]] | str:
    """Net benefit of a class at several thresholds, and that of acting on each study."""
    positive = level.labels == index
    reason = lacking(positive, level.groups)
    if reason is not None:
        return reason
    scores = level.probabilities[:, index]
    of_network, of_all = net_benefit(scores, positive, level.resamples, np.array(THRESHOLDS))
    count = len(positive)
    return [
        {"threshold": threshold, "network": record(of_network[:, place], count), "all": record(of_all[:, place], count)}
        for place, threshold in enumerate(THRESHOLDS)
    ]


def calibration(probabilities: Probabilities, level: Level, class_names: Sequence[str]) -> dict[str, Any]:
    """Brier score, and bins of the predicted class and of each class; log loss and ECE are measured elsewhere."""
    if group_count(level.groups) < LEAST_PATIENTS:
        return {"brier": too_few(level.groups), "confidence": [], "classes": {}}
    of_class = {}
    for index, name in enumerate(class_names):
        if lacking(level.labels == index, level.groups) is None:
            of_class[name] = reliability(probabilities[:, index], level.labels == index, level.groups)
    return {
        "brier": brier_score(probabilities, level.labels, level.groups),
        "confidence": confidence_bins(probabilities, level.labels, level.groups),
        "classes": of_class,
    }
