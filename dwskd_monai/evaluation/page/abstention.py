"""What is gained if the least certain studies are left to a person, and how large prediction sets are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.aggregation import Probabilities
from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.fitting import plain_record
from dwskd_monai.evaluation.intervals import Groups, group_count, groups_of, mean_interval, too_few
from dwskd_monai.evaluation.measuring import LEAST_PATIENTS, Measured, share

THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
Labels = NDArray[np.integer]


def abstention(
    probabilities: Probabilities, labels: Labels, groups: Groups, thresholds: Sequence[float] = THRESHOLDS
) -> list[dict[str, Any]]:
    """For each threshold of the highest probability: the share of studies that reach it, and of errors among them.

    Args:
        probabilities: ``(N, K)``, calibrated.
        labels: ``(N,)``, indices of the classes.
        groups: the patient of each study.
        thresholds: of the confidence.
    """
    confidence = probabilities.max(1)
    wrong = probabilities.argmax(1) != labels
    rows = []
    for threshold in thresholds:
        kept = confidence >= threshold
        everything = np.ones(len(kept), dtype=bool)
        rows.append(
            {
                "threshold": threshold,
                "coverage": share(kept, everything, groups),
                "error": share(wrong, kept, groups),
            }
        )
    return rows


def prediction_sets(
    evidence: Evidence, probabilities: Probabilities, labels: Labels, groups: Groups, class_names: Sequence[str]
) -> dict[str, dict[str, Measured]]:
    """For the studies of each class: how often the set has it, and how many classes the set has on average."""
    sets = [evidence.prediction_set(row, class_names) for row in probabilities]
    sizes = np.array([len(one) for one in sets], dtype=float)
    found: dict[str, dict[str, Measured]] = {}
    for index, name in enumerate(class_names):
        chosen = labels == index
        covered = np.array([name in one for one in sets])
        members = groups_of(chosen, groups)
        size: Measured = too_few(members)
        if group_count(members) >= LEAST_PATIENTS:
            size = dict(plain_record(mean_interval(sizes[chosen], members)))
        found[name] = {"coverage": share(covered, chosen, groups), "size": size}
    return found
