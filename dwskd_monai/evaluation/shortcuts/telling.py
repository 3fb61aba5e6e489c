"""Whether something that is not the disease tells a class: the rule of a check and of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.areas import auc_record, auc_rows, mean_area_record
from dwskd_monai.evaluation.intervals import Groups, groups_of, too_few
from dwskd_monai.evaluation.measuring import Measured
from dwskd_monai.evaluation.resampling import Resamples, Rows, lacking
from dwskd_monai.evaluation.shortcuts.forest import ForestScores, forest_scores

MUCH = 0.6
RULE = (
    f"A part tells much about a class if even the lower end of the interval of its AUC is above {MUCH}; chance is 0.5."
)
_TOO_FEW_CLASSES = "too few patients of all classes but one"


def tells_much(auc: Measured) -> bool:
    """Whether even the lower end of the interval of an AUC is far from chance.

    Examples:
        >>> tells_much({"value": 0.8, "low": 0.7, "high": 0.88, "n": 200})
        True
        >>> tells_much({"value": 0.8, "low": 0.55, "high": 0.93, "n": 30}), tells_much("too few (n = 3)")
        (False, False)
    """
    return not isinstance(auc, str) and auc["low"] is not None and auc["low"] > MUCH


def class_aucs(
    scores: NDArray[np.floating],
    columns: Sequence[int],
    labels: NDArray[np.integer],
    groups: Groups,
    resamples: Resamples,
    class_names: Sequence[str],
) -> tuple[dict[str, Measured], list[Rows | None]]:
    """The AUC of each class against the others, or why there is none; and of all resamples, ``(R + 1,)`` each.

    Args:
        scores: ``(N, C)``.
        columns: the class of each column.
        labels: ``(N,)``, class indices.
        groups: the patient of each image.
        resamples: of these patients.
        class_names: K names.
    """
    classes: dict[str, Measured] = {}
    rows: list[Rows | None] = []
    for index, name in enumerate(class_names):
        positive = labels == index
        reason = lacking(positive, groups)
        rows.append(None)
        if reason is not None or index not in columns:
            classes[name] = reason or _TOO_FEW_CLASSES
            continue
        of_class = auc_rows(scores[:, list(columns).index(index)], positive, resamples)
        rows[-1] = of_class
        classes[name] = auc_record(of_class, positive, groups)
    return classes, rows


def mean_auc(rows: Sequence[Rows | None], labels: NDArray[np.integer], groups: Groups) -> Measured:
    """The mean over the classes that occur; words if one of them has no AUC.

    Args:
        rows: as :func:`class_aucs` returns them.
        labels: ``(N,)``, class indices.
        groups: the patient of each image.
    """
    known = [rows[index] for index in np.unique(labels).tolist()]
    if len(known) < 2 or any(one is None for one in known):
        return "too few patients of a class"
    return mean_area_record([one for one in known if one is not None], labels, groups)


def forest_aucs(
    features: NDArray[np.float64],
    labels: NDArray[np.integer],
    groups: Groups,
    class_names: Sequence[str],
    seed: int = 0,
) -> dict[str, Any]:
    """The AUC of each class, and their mean, by a forest that sees these features alone.

    Args:
        features: ``(N, F)``.
        labels: ``(N,)``, class indices.
        groups: the patient of each image.
        class_names: K names.
        seed: of the folds, the trees and the resamples.
    """
    told = forest_scores(features, labels, groups, len(class_names), seed)
    if told.scores is None:
        classes = dict.fromkeys(class_names, _TOO_FEW_CLASSES)
        return {"classes": classes | _left_out(told, labels, groups, class_names), "macro": _TOO_FEW_CLASSES}
    known = labels[told.used]
    used = groups_of(told.used, groups)
    measured, rows = class_aucs(told.scores, told.classes, known, used, Resamples(used, seed=seed), class_names)
    return {
        "classes": measured | _left_out(told, labels, groups, class_names),
        "macro": mean_auc(rows, known, used),
    }


def _left_out(
    told: ForestScores, labels: NDArray[np.integer], groups: Groups, class_names: Sequence[str]
) -> dict[str, Measured]:
    """Why classes have no AUC: they have too few patients for a forest."""
    return {
        name: too_few(groups_of(labels == index, groups))
        for index, name in enumerate(class_names)
        if index not in told.classes
    }
