"""What a training fitted on its validation images, as inference says it of each study.

It is fitted by :mod:`~dwskd_monai.evaluation.fitting`, and is in the trained settings. Only numpy is imported, so that
a program without torch says the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dwskd_monai.evaluation.aggregation import Aggregation, Probabilities
from dwskd_monai.evaluation.novelty import ARRAYS, Novelty, read_novelty

NOT_FITTED = "not fitted"  # in place of classes
SEPARATOR = "|"  # between classes
_NONE = "the trained settings have none; an earlier version, or dwskd settings, wrote them"
SMALLEST = float(np.finfo(np.float64).eps)  # so that a probability of 0 has a logarithm; scikit-learn's log_loss too
_logger = logging.getLogger(__name__)


def tempered(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Probabilities ``(..., K)`` that are divided by a temperature as logits would be: p^(1/T), divided by their sum.

    A study has no logits: its probabilities are an aggregate of those of its slices. The logarithms of probabilities
    are logits of them, so for a study of one slice this is temperature scaling (Guo et al., On Calibration of Modern
    Neural Networks, ICML 2017). The most probable class stays the same.

    Examples:
        >>> tempered(np.array([0.8, 0.2]), 2).round(3).tolist()
        [0.667, 0.333]
    """
    if temperature == 1:
        return probabilities
    logits = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


@dataclass(frozen=True)
class Evidence:
    """Calibrated probabilities of a study, which classes reach their operating point, and the prediction set.

    Args:
        temperature: 1: probabilities stay as they are.
        operating_points: by class, the probability from which a study is said to be of the class.
        set_thresholds: by class, the probability from which the class is in the prediction set; a class without one is
            in each set. Empty: there are no prediction sets.
        coverage: share of the studies whose class is in the set.
        record: where all of this comes from, for the outputs.
        novelty: how unlike the training images an image is; None: nobody knows.

    Examples:
        >>> evidence = Evidence(1.0, {"ill": 0.3}, {"healthy": 0.5, "ill": 0.2}, 0.9)
        >>> evidence.describe(np.array([0.7, 0.3]), ["healthy", "ill"])["prediction_set"]
        'healthy|ill'
    """

    temperature: float = 1.0
    operating_points: Mapping[str, float] = field(default_factory=dict)
    set_thresholds: Mapping[str, float] = field(default_factory=dict)
    coverage: float | None = None
    record: Mapping[str, Any] = field(default_factory=lambda: {"applied": False, "reason": "evidence is null"})
    novelty: Novelty | None = field(default=None, compare=False)

    def calibrated(self, probabilities: Probabilities) -> Probabilities:
        """Calibrated probabilities ``(..., K)`` of studies."""
        return tempered(probabilities, self.temperature)

    def at_operating_point(self, calibrated: Probabilities, class_names: Sequence[str]) -> list[str]:
        """The classes whose calibrated probability reaches their operating point: none, one or several."""
        return [
            name
            for name, value in zip(class_names, calibrated, strict=True)
            if name in self.operating_points and value >= self.operating_points[name]
        ]

    def prediction_set(self, calibrated: Probabilities, class_names: Sequence[str]) -> list[str]:
        """The classes that a study may have."""
        return [
            name
            for name, value in zip(class_names, calibrated, strict=True)
            if value >= self.set_thresholds.get(name, 0.0)
        ]

    def describe(self, calibrated: Probabilities, class_names: Sequence[str]) -> dict[str, str]:
        """The columns ``at_operating_point``, ``prediction_set`` and ``note`` of a study."""
        reached = self.at_operating_point(calibrated, class_names)
        possible = self.prediction_set(calibrated, class_names)
        note = ""
        if self.set_thresholds and not possible:
            note = f"no class fits at {self.coverage:.0%}: probabilities unlike those that the sets were fitted to"
        return {
            "at_operating_point": SEPARATOR.join(reached) if self.operating_points else NOT_FITTED,
            "prediction_set": SEPARATOR.join(possible) if self.set_thresholds else NOT_FITTED,
            "note": note,
        }


def read_evidence(content: Mapping[str, Any], aggregation: Aggregation | None = None) -> Evidence:
    """What trained settings have under ``evidence``; the log says what they lack.

    Args:
        content: as :func:`~dwskd_monai.evaluation.fitting.fit_evidence` makes it; empty: there is none.
        aggregation: of the slices now. What was fitted with another one does not hold.

    Raises:
        ValueError: if something is missing in the content.
    """
    if not content:
        return _not_applied(_NONE, find_novelty(content))
    used = aggregation or Aggregation()
    novelty = find_novelty(content)
    try:
        fitted_with = Aggregation(**content["aggregation"])
        if not _same(fitted_with, used):
            reason = f"fitted for the aggregation {_shown(fitted_with)}, but it is {_shown(used)} here"
            return _not_applied(reason, novelty, _of_novelty(content))
        points = _thresholds(content["operating_points"])
        sets = _thresholds(content["prediction_sets"])
        temperature = float(content["temperature"]["value"])
        coverage = content["prediction_sets"].get("coverage")
    except (KeyError, TypeError) as error:
        raise ValueError(f"evidence in the trained settings is incomplete: {error!r}; copy the file again") from error
    words = lacking(content)
    if words:
        _logger.info("fitted to %s: %s", content.get("fitted_on", "validation images"), "; ".join(words))
    return Evidence(temperature, points, sets, coverage, applied(content), novelty)


def applied(content: Mapping[str, Any]) -> dict[str, Any]:
    """What outputs have of the evidence of trained settings, if it holds for them."""
    if not content:
        return _none(_NONE)
    others = {key: value for key, value in content.items() if key != "novelty"}
    return {"applied": True, **others, **_of_novelty(content)}


def find_novelty(content: Mapping[str, Any]) -> Novelty | None:
    """The novelty score that trained settings have under ``evidence``; None if there is none, and the log says why.

    Raises:
        ValueError: if something is missing in it.
    """
    fitted = content.get("novelty", {"reason": _NONE})
    if "center" not in fitted:
        _logger.info("no novelty score: %s", fitted.get("reason", "not fitted"))
        return None
    reason = fitted.get("studies", {}).get("reason")
    if reason is not None:
        _logger.info("the novelty score has no limit: %s", reason)
    return read_novelty(fitted)


def lacking(content: Mapping[str, Any]) -> list[str]:
    """What could not be fitted, and why, in words."""
    words = []
    if "reason" in content["temperature"]:
        words.append(f"probabilities are not calibrated: {content['temperature']['reason']}")
    sets = content["prediction_sets"]
    of_sets = "{} always in the prediction set" if _thresholds(sets) else "no prediction sets for {}"
    for part, what in ((content["operating_points"], "no operating point of {}"), (sets, of_sets)):
        if "reason" in part:
            words.append(part["reason"])
        by_reason: dict[str, list[str]] = {}
        for name, one in part.get("classes", {}).items():
            if "reason" in one:
                by_reason.setdefault(one["reason"], []).append(name)
        words += [f"{what.format(', '.join(names))}: {reason}" for reason, names in by_reason.items()]
    return words


def _of_novelty(content: Mapping[str, Any]) -> dict[str, Any]:
    """What outputs have of the novelty score: its limits, and how the scores of the validation images are spread."""
    if "novelty" not in content:
        return {}
    return {"novelty": {key: value for key, value in content["novelty"].items() if key not in ARRAYS}}


def _not_applied(reason: str, novelty: Novelty | None = None, of_novelty: Mapping[str, Any] | None = None) -> Evidence:
    _logger.info("no calibration, operating points or prediction sets: %s", reason)
    return Evidence(novelty=novelty, record=_none(reason) | dict(of_novelty or {}))


def _none(reason: str) -> dict[str, Any]:
    return {"applied": False, "reason": reason}


def _thresholds(part: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(one["threshold"]) for name, one in part.get("classes", {}).items() if "threshold" in one}


def _same(one: Aggregation, other: Aggregation) -> bool:
    return one.method == other.method and (one.method != "top_k" or one.k == other.k)


def _shown(aggregation: Aggregation) -> str:
    return f"top_k of {aggregation.k}" if aggregation.method == "top_k" else aggregation.method
