"""Fits what inference says of a study beyond the network's probabilities: calibration, operating points, sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.aggregation import Aggregation, Probabilities
from dwskd_monai.evaluation.calibration import CalibrationError, Temperature, fit_temperature
from dwskd_monai.evaluation.conformal import SetThreshold, checked_share, fit_set_threshold
from dwskd_monai.evaluation.evidence import tempered
from dwskd_monai.evaluation.intervals import Interval, groups_of
from dwskd_monai.evaluation.operating_points import OperatingPoint, Rule, fit_operating_point

VALIDATION = "validation images, which also chose the epoch"
_DIGITS = 6  # of intervals; thresholds keep all, so that a study at the threshold stays there


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is fitted.

    Args:
        calibrate: whether probabilities are calibrated by a temperature.
        operating_point: the rule, as :meth:`~dwskd_monai.evaluation.operating_points.Rule.of` takes it; None: none.
        prediction_set: share of the studies whose class must be in the set; None: there are no sets.
        novelty: share of studies like those of the training that must not be said to be unlike them; None: there is no
            novelty score.

    Raises:
        ValueError: for another rule or share.
    """

    calibrate: bool = True
    operating_point: str | None = "youden"
    prediction_set: float | None = 0.9
    novelty: float | None = 0.95

    def __post_init__(self) -> None:
        if self.operating_point is not None:
            Rule.of(self.operating_point)
        if self.prediction_set is not None:
            checked_share("prediction_set", self.prediction_set)
        if self.novelty is not None:
            checked_share("novelty", self.novelty)


def fit_evidence(
    probabilities: Probabilities,
    labels: NDArray[np.integer],
    patients: Sequence[str | None],
    class_names: Sequence[str],
    aggregation: Aggregation,
    wanted: Wanted,
    fitted_on: str = VALIDATION,
) -> dict[str, Any]:
    """The content of ``evidence`` in trained settings; :func:`~dwskd_monai.evaluation.evidence.read_evidence` reads it.

    Args:
        probabilities: ``(N, K)`` of studies by the network that is deployed.
        labels: ``(N,)``, indices of their classes.
        patients: of each study; None: unknown, so the study counts as a patient.
        class_names: K names.
        aggregation: by which slices became studies.
        wanted: what is fitted.
        fitted_on: which images these are, and what else they decided.
    """
    groups = patient_groups(patients)
    temperature = Temperature(1.0, len(labels), "calibrate is false")
    if wanted.calibrate:
        temperature = fit_temperature(probabilities, labels, groups)
    calibrated = tempered(probabilities, temperature.value)
    return {
        "fitted_on": fitted_on,
        "studies": len(labels),
        "intervals": clusters(patients),
        "aggregation": dataclasses.asdict(aggregation),
        "settings": dataclasses.asdict(wanted),
        "temperature": _as_record(temperature),
        "operating_points": _operating_points(calibrated, labels, groups, class_names, wanted.operating_point),
        "prediction_sets": _prediction_sets(calibrated, labels, groups, class_names, wanted.prediction_set),
    }


def patient_groups(patients: Sequence[str | None]) -> list[str]:
    """The patient of each study; a study whose patient is unknown is a group of its own."""
    return [f"patient {name}" if name is not None else f"study {index}" for index, name in enumerate(patients)]


def clusters(patients: Sequence[str | None]) -> str:
    """What intervals are clustered by, in words."""
    known = sum(name is not None for name in patients)
    if not known:
        return "95 %, by study: patients are unknown"
    if known == len(patients):
        return f"95 %, by patient: {len(set(patients))} patients"
    return f"95 %, by patient where known ({known} of {len(patients)} studies), else by study"


def _operating_points(
    calibrated: Probabilities,
    labels: NDArray[np.integer],
    groups: Sequence[str],
    class_names: Sequence[str],
    rule: str | None,
) -> dict[str, Any]:
    if rule is None:
        return {"reason": "operating_point is null"}
    points: dict[str, OperatingPoint] = {}
    for index, name in enumerate(class_names):
        points[name] = fit_operating_point(calibrated[:, index], labels == index, groups, Rule.of(rule))
    return {"rule": str(Rule.of(rule)), "classes": {name: _as_record(point) for name, point in points.items()}}


def _prediction_sets(
    calibrated: Probabilities,
    labels: NDArray[np.integer],
    groups: Sequence[str],
    class_names: Sequence[str],
    coverage: float | None,
) -> dict[str, Any]:
    if coverage is None:
        return {"reason": "prediction_set is null"}
    found: dict[str, SetThreshold] = {}
    for index, name in enumerate(class_names):
        members = groups_of(labels == index, groups)
        found[name] = fit_set_threshold(calibrated[labels == index, index], members, coverage)
    return {"coverage": coverage, "classes": {name: _as_record(threshold) for name, threshold in found.items()}}


def _as_record(fitted: Temperature | OperatingPoint | SetThreshold) -> dict[str, Any]:
    """Plain values, without what there is not."""
    record: dict[str, Any] = {}
    for field in dataclasses.fields(fitted):
        value = getattr(fitted, field.name)
        if value is not None:
            record[field.name] = plain_record(value) if isinstance(value, (Interval, CalibrationError)) else value
    return record


def plain_record(number: Interval | CalibrationError) -> Mapping[str, float | int]:
    """A number with its ends as plain values."""
    record: dict[str, float | int] = {}
    for name, value in dataclasses.asdict(number).items():
        record[name] = value if isinstance(value, int) else round(float(value), _DIGITS)
    return record
