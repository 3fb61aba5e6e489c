"""The studies that are predicted wrongly, the most confident errors first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.aggregation import Probabilities

MOST = 30


def failure_places(probabilities: Probabilities, labels: NDArray[np.integer]) -> list[int]:
    """The places of at most 30 wrong studies, the most confident first; arguments as below."""
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    places: list[int] = wrong[np.argsort(-probabilities[wrong].max(1), kind="stable")].tolist()
    return places[:MOST]


def named_case(
    place: int,
    probabilities: Probabilities,
    labels: NDArray[np.integer],
    studies: Sequence[str],
    class_names: Sequence[str],
) -> dict[str, Any]:
    """A study by file name: the class that it is of, the predicted one, and its probability; arguments as below."""
    predicted = int(probabilities[place].argmax())
    return {
        "study": PurePath(studies[place]).name,
        "label": class_names[labels[place]],
        "predicted": class_names[predicted],
        "probability": round(float(probabilities[place, predicted]), 6),
    }


def failures(
    probabilities: Probabilities, labels: NDArray[np.integer], studies: Sequence[str], class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """At most 30 wrong studies, by file name: the class that they are of, the predicted one, and both probabilities.

    Args:
        probabilities: ``(N, K)``, calibrated.
        labels: ``(N,)``, indices of the classes.
        studies: their names; of a path, its last part is shown.
        class_names: K names.
    """
    return [
        {
            **named_case(place, probabilities, labels, studies, class_names),
            "probability_of_label": round(float(probabilities[place, labels[place]]), 6),
        }
        for place in failure_places(probabilities, labels)
    ]
