"""Metrics of a multi-class classifier, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score


@dataclass(frozen=True)
class ClassificationMetrics:
    """Quality of a classifier on labelled images or studies.

    Args:
        overall: ``accuracy``, ``balanced_accuracy``, ``macro_auc``, ``macro_f1`` and ``count``.
        per_class: for each class name ``auc`` (one against the rest), ``f1``, ``sensitivity``, ``specificity``,
            ``count``.
        confusion: ``(C, C)`` counts, rows are true classes, columns predicted ones.
        class_names: in the order of the labels.

    Means are unweighted over the classes that occur. A value that is not defined is NaN: the AUC of a class that no
    image, or each image, belongs to.
    """

    overall: dict[str, float]
    per_class: dict[str, dict[str, float]]
    confusion: NDArray[np.int64]
    class_names: tuple[str, ...]


def classification_metrics(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], class_names: Sequence[str]
) -> ClassificationMetrics:
    """Compute all metrics from one set of predictions.

    Args:
        probabilities: ``(N, C)``, each row sums to 1.
        labels: ``(N,)``, class indices.
        class_names: C names.

    Raises:
        ValueError: if there is no prediction, the shapes disagree, or a probability is NaN or infinite.
    """
    classes = len(class_names)
    if len(labels) == 0 or probabilities.shape != (len(labels), classes):
        raise ValueError(
            f"expected probabilities (N, {classes}) and labels (N,) with N > 0, "
            f"got {probabilities.shape} and {labels.shape}"
        )
    if not np.isfinite(probabilities).all():
        raise ValueError(f"{int((~np.isfinite(probabilities)).any(1).sum())} predictions are NaN or infinite")
    predicted = probabilities.argmax(1)
    confusion = confusion_matrix(labels, predicted, labels=range(classes))
    counts, right = confusion.sum(1), confusion.diagonal()
    _, sensitivity, f1, _ = precision_recall_fscore_support(
        labels, predicted, labels=range(classes), average=None, zero_division=np.nan
    )
    negatives = counts.sum() - counts
    false_positives = confusion.sum(0) - right
    specificity = np.where(negatives > 0, (negatives - false_positives) / np.maximum(negatives, 1), np.nan)
    auc = np.array([_one_vs_rest_auc(labels == index, probabilities[:, index]) for index in range(classes)])
    present = counts > 0
    columns = {"auc": auc, "f1": f1, "sensitivity": sensitivity, "specificity": specificity, "count": counts}
    return ClassificationMetrics(
        overall={
            "accuracy": float(right.sum() / counts.sum()),
            "balanced_accuracy": float(sensitivity[present].mean()),
            "macro_auc": float(auc[present].mean()),
            "macro_f1": float(f1[present].mean()),
            "count": float(counts.sum()),
        },
        per_class={
            name: {column: float(values[index]) for column, values in columns.items()}
            for index, name in enumerate(class_names)
        },
        confusion=confusion,
        class_names=tuple(class_names),
    )


def _one_vs_rest_auc(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    if positive.all() or not positive.any():
        return float("nan")
    return float(roc_auc_score(positive, score))
