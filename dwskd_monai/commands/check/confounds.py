"""What tells the class without showing the disease: the size of an image, its file type, the scanner, its borders.

A network learns whatever separates the classes. If a small random forest tells a class from such facts alone, a high
accuracy of the network says little; see Zech et al. 2018 (doi 10.1371/journal.pmed.1002683) and DeGrave et al. 2021
(doi 10.1038/s42256-021-00338-7).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from dwskd_monai.commands.check.facts import Facts
from dwskd_monai.data.near_copies import SIDE
from dwskd_monai.evaluation.intervals import Interval, auc_interval

WARNING_LEVEL = 0.7  # AUC
_FOLDS = 5
_LEAST_GROUPS = 10  # patients of a class, below which nothing can be said
_MOST_IMAGES = 2000  # that are looked at, drawn at random; the intervals are narrow enough with them
_BORDER = (round(0.15 * SIDE), round(0.1 * SIDE))  # rows and columns: all but the central 70 % by 80 %


@dataclass(frozen=True)
class Confound:
    """How well something that is not the disease tells one class from the others.

    Args:
        what: the facts that are used.
        class_name: the class.
        auc: cross-validated, with its 95 % interval; None if there are too few patients.
        count: of images.
        groups: of patients of the class.
    """

    what: str
    class_name: str
    auc: Interval | None
    count: int
    groups: int

    @property
    def is_suspicious(self) -> bool:
        """Whether it tells the class, and not by chance."""
        return self.auc is not None and self.auc.value > WARNING_LEVEL and self.auc.low > 0.5


def find_confounds(
    facts: Sequence[Facts], labels: Sequence[int], groups: Sequence[Hashable], class_names: Sequence[str], seed: int = 0
) -> list[Confound]:
    """How well each set of facts tells each class, by a random forest that is cross-validated by patient.

    Facts that are equal for all images are left out.

    Args:
        facts: of images.
        labels: class indices.
        groups: patients; images of one patient are never both trained on and tested on.
        class_names: names in the order of the labels.
        seed: of the choice of images, the folds and the trees.
    """
    chosen = _chosen(groups, seed)
    kept = [facts[index] for index in chosen]
    classes = np.array([labels[index] for index in chosen])
    members = np.array([str(groups[index]) for index in chosen])
    confounds: list[Confound] = []
    for what, features in _features(kept).items():
        if (features == features[0]).all():
            continue
        confounds += _of_features(what, features, classes, members, class_names, seed)
    return confounds


def _of_features(
    what: str,
    features: NDArray[np.float64],
    labels: NDArray[np.integer],
    groups: NDArray[np.str_],
    class_names: Sequence[str],
    seed: int,
) -> list[Confound]:
    patients = [len(set(groups[labels == index])) for index in range(len(class_names))]
    tested = [index for index, count in enumerate(patients) if count >= _LEAST_GROUPS]
    used = np.isin(labels, tested)
    scores = None
    if len(tested) > 1:
        scores = _scores(features[used], labels[used], groups[used], seed)
    result = []
    for index, name in enumerate(class_names):
        auc = None
        if scores is not None and index in tested:
            auc = auc_interval(scores[:, tested.index(index)], labels[used] == index, list(groups[used]), seed)
        result.append(Confound(what, name, auc, int(used.sum()), patients[index]))
    return result


def _scores(
    features: NDArray[np.float64], labels: NDArray[np.integer], groups: NDArray[np.str_], seed: int
) -> NDArray[np.float64]:
    """Probabilities ``(N, classes)`` of each image, by trees that have not seen its patient."""
    forest = RandomForestClassifier(50, min_samples_leaf=5, random_state=seed, n_jobs=2)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    scores: NDArray[np.float64] = cross_val_predict(
        forest, features, labels, groups=groups, cv=folds, method="predict_proba"
    )
    return scores


def _chosen(groups: Sequence[Hashable], seed: int) -> list[int]:
    """The images that are looked at: those of whole patients, in random order."""
    if len(groups) <= _MOST_IMAGES:
        return list(range(len(groups)))
    names = [str(group) for group in groups]
    order = np.random.default_rng(seed).permutation(sorted(set(names)))
    rank = {name: place for place, name in enumerate(order)}
    return sorted(sorted(range(len(names)), key=lambda index: rank[names[index]])[:_MOST_IMAGES])


def _features(facts: Sequence[Facts]) -> dict[str, NDArray[np.float64]]:
    """Numbers ``(N, F)`` for each set of facts."""
    origins = pd.DataFrame([asdict(one.origin) for one in facts])
    sizes = [(one.rows, one.columns, one.rows / one.columns, one.slices, *one.spacing) for one in facts]
    thumbnails = np.stack([one.thumbnail for one in facts])
    return {
        "image size": np.array(sizes, float),
        "bit depth": _one_hot(origins[["bits", "colors"]]),
        "file type": _one_hot(origins[["format"]]),
        "view": _one_hot(origins[["view"]]),
        "scanner": _one_hot(origins[["manufacturer", "model", "site"]]),
        "borders": thumbnails[:, _is_border()].astype(float),
    }


def _one_hot(table: pd.DataFrame) -> NDArray[np.float64]:
    return pd.get_dummies(table).to_numpy(float)


def _is_border() -> NDArray[np.bool_]:
    border = np.ones((SIDE, SIDE), bool)
    rows, columns = _BORDER
    border[rows:-rows, columns:-columns] = False
    return border
