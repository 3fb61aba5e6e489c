"""Which of many studies to label: those with a high score that differ from each other, one of each patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin

PRESELECTED = 10  # β: how many studies with the highest scores are clustered, for each that is chosen
_LEAST_WEIGHT = 1e-12  # a cluster needs a weight, even if all scores are 0
Values = NDArray[np.float64]


def choose(scores: Values, features: Values, patients: Sequence[str], count: int, seed: int = 0) -> list[int]:
    """The places of the chosen studies, the highest score first; at most ``count``, one of each patient.

    The studies with the highest scores, ``10 count`` of them, are clustered by k-means with their scores as weights.
    Of each cluster, the study nearest to its center is chosen (Zhdanov, *Diverse mini-batch Active Learning*, arXiv
    1901.05954, algorithm 1). Two studies with the same features are never both chosen.

    Args:
        scores: ``(N,)``, at least 0.
        features: ``(N, D)``; studies that look alike have similar ones.
        patients: a name for each study, equal for those of which only one may be chosen.
        count: how many are wanted.
        seed: of the clusters' first centers.

    Examples:
        >>> scores = np.array([0.5, 0.6, 0.1, 0.4])
        >>> features = np.array([[0.0], [0.0], [0.0], [9.0]])
        >>> choose(scores, features, ["P1", "P2", "P3", "P4"], count=2)
        [1, 3]
    """
    places = _best_of_each(range(len(scores)), scores, lambda place: patients[place])
    places = _best_of_each(places, scores, lambda place: features[place].tobytes())
    candidates = np.array(places[: PRESELECTED * count])
    if len(candidates) <= count:
        return candidates.tolist()
    points = features[candidates]
    weights = np.maximum(scores[candidates], _LEAST_WEIGHT)
    clusters = KMeans(count, n_init=10, random_state=seed).fit(points, sample_weight=weights)
    chosen = []
    for number, center in enumerate(clusters.cluster_centers_):
        members = np.flatnonzero(clusters.labels_ == number)
        (nearest,) = pairwise_distances_argmin(center[None], points[members])
        chosen.append(int(candidates[members[nearest]]))
    return _in_order(chosen, scores)


def _best_of_each(places: Sequence[int], scores: Values, group_of: Callable[[int], object]) -> list[int]:
    """Of each group the place with the highest score, in the order of their scores."""
    best: dict[object, int] = {}
    for place in _in_order(places, scores):
        best.setdefault(group_of(place), place)
    return list(best.values())


def _in_order(places: Sequence[int], scores: Values) -> list[int]:
    return sorted(places, key=lambda place: (-scores[place], place))
