"""How well a few features tell the classes: a small random forest, cross-validated by patient."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.preprocessing import OneHotEncoder

LEAST_GROUPS = 10  # patients of a class, below which nothing can be said
_FOLDS = 5
_MOST_IMAGES = 2000  # that are looked at, drawn at random; the intervals are narrow enough with them


@dataclass(frozen=True)
class ForestScores:
    """What the forests say of images whose patients they have not seen.

    Args:
        used: ``(N,)``, the images of classes with enough patients.
        classes: indices of these classes.
        scores: ``(used images, classes)``, probabilities; None if there are fewer than two such classes.
    """

    used: NDArray[np.bool_]
    classes: Sequence[int]
    scores: NDArray[np.float64] | None


def forest_scores(
    features: NDArray[np.float64], labels: NDArray[np.integer], groups: Sequence[Hashable], count: int, seed: int = 0
) -> ForestScores:
    """Probabilities of the classes that have enough patients.

    Args:
        features: ``(N, F)``.
        labels: ``(N,)``, class indices.
        groups: patients; images of one patient are never both trained on and tested on.
        count: number of classes.
        seed: of the folds and the trees.
    """
    members = np.array([str(group) for group in groups])
    classes = [index for index in range(count) if len(set(members[labels == index])) >= LEAST_GROUPS]
    used = np.isin(labels, classes)
    if len(classes) < 2:
        return ForestScores(used, classes, None)
    forest = RandomForestClassifier(50, min_samples_leaf=5, random_state=seed)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_predict(
        forest, features[used], labels[used], groups=members[used], cv=folds, method="predict_proba"
    )
    return ForestScores(used, classes, scores)


def drawn_images(groups: Sequence[Hashable], seed: int = 0) -> list[int]:
    """At most 2,000 images, in order: those of whole patients, drawn at random."""
    if len(groups) <= _MOST_IMAGES:
        return list(range(len(groups)))
    names = [str(group) for group in groups]
    order = np.random.default_rng(seed).permutation(sorted(set(names)))
    rank = {name: place for place, name in enumerate(order)}
    return sorted(sorted(range(len(names)), key=lambda index: rank[names[index]])[:_MOST_IMAGES])


def one_hot(rows: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Texts as numbers: a column for each value of each place.

    Examples:
        >>> one_hot([("PNG", "8"), ("JPEG", "8")]).tolist()
        [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]
    """
    encoded: NDArray[np.float64] = OneHotEncoder(sparse_output=False).fit_transform(np.array(rows, dtype=object))
    return encoded
