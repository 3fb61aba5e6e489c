"""Which studies, and which of their slices, are shown and tested."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.aggregation import Probabilities

OF_EACH_KIND = 4
MOST_SLICES = 3  # of a study
Labels = NDArray[np.integer]


def shown_cases(probabilities: Probabilities, labels: Labels) -> dict[str, list[int]]:
    """The places of at most 12 studies: four ``right``, four ``wrong``, and four ``uncertain`` ones.

    Those that are right or wrong are the most confident ones, the right ones of each class in turn; the others are the
    least confident ones.

    Args:
        probabilities: ``(N, K)``, calibrated.
        labels: ``(N,)``.
    """
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    falling = np.argsort(-confidence, kind="stable").tolist()
    right = _in_turn([place for place in falling if predicted[place] == labels[place]], labels)[:OF_EACH_KIND]
    wrong = [place for place in falling if predicted[place] != labels[place]][:OF_EACH_KIND]
    uncertain = [place for place in reversed(falling) if place not in (*right, *wrong)][:OF_EACH_KIND]
    return {"right": right, "wrong": wrong, "uncertain": uncertain}


def _in_turn(places: list[int], labels: Labels) -> list[int]:
    """The first one of each class, then the second ones, and so on."""
    seen: dict[int, int] = {}
    ranks = []
    for place in places:
        label = int(labels[place])
        ranks.append(seen.get(label, 0))
        seen[label] = ranks[-1] + 1
    order = np.argsort(ranks, kind="stable")
    return [places[index] for index in order]


def drawn_cases(count: int, most: int) -> list[int]:
    """At most so many of ``count`` studies, drawn at random."""
    drawn: list[int] = np.random.default_rng(0).permutation(count)[:most].tolist()
    return drawn


def carrying_slices(slices: Probabilities, index: int) -> list[int]:
    """At most three slices of a study with the highest probability of a class, the highest first.

    Args:
        slices: probabilities ``(S, K)``, as the network gives them.
        index: of the class.
    """
    order: list[int] = np.argsort(-slices[:, index], kind="stable").tolist()
    return order[:MOST_SLICES]
