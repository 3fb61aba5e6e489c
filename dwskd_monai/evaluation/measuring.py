"""What the evidence of a training does on other labeled studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.aggregation import Probabilities
from dwskd_monai.evaluation.calibration import calibration_error, log_losses, overconfidence
from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.fitting import clusters, patient_groups, plain_record
from dwskd_monai.evaluation.intervals import Groups, group_count, groups_of, mean_interval, proportion_interval, too_few

LEAST_PATIENTS = 10  # of a number
Measured = Mapping[str, Any] | str


def measure_evidence(
    evidence: Evidence,
    probabilities: Probabilities,
    labels: NDArray[np.integer],
    patients: Sequence[str | None],
    class_names: Sequence[str],
) -> dict[str, Any]:
    """Calibration, operating points and prediction sets on labeled studies; each number with its n and 95 % interval.

    Words stand in place of a number if fewer than 10 patients would make it.

    Args:
        evidence: as inference uses it.
        probabilities: ``(N, K)`` of studies, before they are calibrated.
        labels: ``(N,)``, indices of their classes.
        patients: of each study; None: unknown.
        class_names: K names.
    """
    groups = patient_groups(patients)
    calibrated = evidence.calibrated(probabilities)
    reached = [evidence.at_operating_point(row, class_names) for row in calibrated]
    sets = [evidence.prediction_set(row, class_names) for row in calibrated]
    of_class: dict[str, dict[str, Measured]] = {}
    for index, name in enumerate(class_names):
        positive = labels == index
        flagged = np.array([name in one for one in reached])
        covered = np.array([name in one for one in sets])
        of_class[name] = {}
        if name in evidence.operating_points:
            of_class[name]["sensitivity"] = share(flagged, positive, groups)
            of_class[name]["specificity"] = share(~flagged, ~positive, groups)
        if name in evidence.set_thresholds:
            of_class[name]["coverage"] = share(covered, positive, groups)
    return {
        "intervals": clusters(patients),
        "calibration": {
            "before": _calibration(probabilities, labels, groups),
            "after": _calibration(calibrated, labels, groups),
        },
        "classes": of_class,
        "set_sizes": np.bincount([len(one) for one in sets], minlength=len(class_names) + 1).tolist(),
    }


def share(hits: NDArray[np.bool_], chosen: NDArray[np.bool_], groups: Groups) -> Measured:
    """The share of hits among the chosen studies, or words if they are of too few patients."""
    members = groups_of(chosen, groups)
    if group_count(members) < LEAST_PATIENTS:
        return too_few(members)
    return plain_record(proportion_interval(hits[chosen], members))


def _calibration(probabilities: Probabilities, labels: NDArray[np.integer], groups: Groups) -> Measured:
    if group_count(groups) < LEAST_PATIENTS:
        return too_few(groups)
    return {
        "log_loss": plain_record(mean_interval(log_losses(probabilities, labels), groups)),
        "overconfidence": plain_record(overconfidence(probabilities, labels, groups)),
        "ece": plain_record(calibration_error(probabilities, labels)),
    }
