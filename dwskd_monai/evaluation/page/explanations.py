"""Whether the maps mean anything, in numbers and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.aggregation import Probabilities
from dwskd_monai.evaluation.explanations.deletion import SHARE, Deletion
from dwskd_monai.evaluation.explanations.explaining import Explained, ShownSlice
from dwskd_monai.evaluation.fitting import plain_record
from dwskd_monai.evaluation.intervals import Groups, group_count, mean_interval, too_few
from dwskd_monai.evaluation.measuring import LEAST_PATIENTS, Measured
from dwskd_monai.evaluation.page.failures import named_case

_REASON = "explained is 0, or evaluate.yaml is of an earlier version"


def explanations(
    explained: Explained | None,
    probabilities: Probabilities,
    labels: NDArray[np.integer],
    studies: Sequence[str],
    groups: Groups,
    class_names: Sequence[str],
) -> dict[str, Any]:
    """The test of the maps, and which studies are shown.

    Args:
        explained: maps, pictures and the test; None: there are none.
        probabilities: ``(N, K)``, calibrated.
        labels: ``(N,)``.
        studies: their names; of a path, its last part is shown.
        groups: the patient of each study.
        class_names: K names.
    """
    if explained is None:
        return {"reason": _REASON}
    members = [groups[place] for place in explained.tested]
    methods = {name: _tested(name, one, members) for name, one in explained.deletions.items()}

    def described(place: int, slices: Sequence[ShownSlice]) -> dict[str, Any]:
        shown = [{"slice": one.number, "probability": round(one.probability, 6)} for one in slices]
        return {**named_case(place, probabilities, labels, studies, class_names), "slices": shown}

    cases = {kind: [described(*one) for one in found.items()] for kind, found in explained.cases.items()}
    return {"share": SHARE, "methods": methods, "missing": dict(explained.missing), "cases": cases}


def _tested(name: str, drops: Deletion, groups: Groups) -> dict[str, Any]:
    """How much the probability falls, on average, and what that means."""
    measured = {
        "map": _mean(drops.by_map, groups),
        "random": _mean(drops.by_random, groups),
        "other": _mean(drops.by_other, groups),
        "beyond_random": _mean(drops.by_map - drops.by_random, groups),
        "beyond_other": _mean(drops.by_map - drops.by_other, groups),
    }
    return {**measured, "meaning": _meaning(name, measured)}


def _mean(values: NDArray[np.float64], groups: Groups) -> Measured:
    if group_count(groups) < LEAST_PATIENTS:
        return too_few(groups)
    return plain_record(mean_interval(values, groups))


def _meaning(name: str, measured: Mapping[str, Measured]) -> str:
    beyond_random, beyond_other = measured["beyond_random"], measured["beyond_other"]
    if isinstance(beyond_random, str) or isinstance(beyond_other, str):
        return f"Whether the maps of {name} mean anything cannot be said: {beyond_random}."
    if beyond_random["low"] <= 0:
        return (
            f"The maps of {name} cannot be told from random ones: removing what they mark does not lower the "
            "probability more. Read nothing from them."
        )
    if beyond_other["low"] <= 0:
        return (
            f"The maps of {name} mark places that matter in such images, but the map of another image does as well: "
            "they show where the network looks in general, not what it saw in this image."
        )
    return f"The maps of {name} mark pixels that this prediction depends on, more than random ones do."
