"""Metrics of a multi-class classifier, and where each is shown. A new metric is a function and a row of a table here.

The report of an evaluation has numbers of its own, with intervals (``evaluation.page``). What a training tracks is
listed in ``train.yaml``, under ``validate#additional_metrics``.

Means are unweighted over the classes that occur. A value that is not defined is NaN: the AUC of a class to which no
image or every image belongs, and the mean over a single class, which would be perfect for a network that always
predicts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score, roc_auc_score

Probabilities = NDArray[np.floating]  # (N, C), each row sums to 1
Labels = NDArray[np.integer]  # (N,), class indices


@dataclass(frozen=True)
class ClassMetric:
    """A metric of each class, in ``metrics.json``, ``metrics.csv`` and the model card.

    Args:
        name: its key, and the name of its column.
        function: from probabilities and labels to values ``(C,)``.
    """

    name: str
    function: Callable[[Probabilities, Labels], NDArray]


@dataclass(frozen=True)
class OverallMetric:
    """A metric of all classes together, in ``metrics.json``, ``metrics.csv`` and the log.

    Args:
        name: its key.
        function: from probabilities and labels to the value.
        label: its name for people.
        column: its column of ``metrics.csv``, in the row of all classes: that of a class metric, or one of its own.
        compared: whether a training can use it, and comparisons and the model card show it.
        drawn: whether comparisons draw it against the share of training images.
    """

    name: str
    function: Callable[[Probabilities, Labels], float]
    label: str
    column: str
    compared: bool = True
    drawn: bool = False


def counts(probabilities: Probabilities, labels: Labels) -> NDArray[np.int64]:
    """How many images or studies each class has."""
    return np.bincount(labels, minlength=probabilities.shape[1])


def auc(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """The AUC of each class against all others."""
    result = np.full(probabilities.shape[1], np.nan)
    for index, scores in enumerate(probabilities.T):
        positive = labels == index
        if positive.any() and not positive.all():
            result[index] = roc_auc_score(positive, scores)
    return result


def f1(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """The F1 score of each class."""
    classes = range(probabilities.shape[1])
    return f1_score(labels, probabilities.argmax(1), labels=classes, average=None, zero_division=np.nan)


def sensitivity(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """For each class, the share of its images that are predicted as this class."""
    classes = range(probabilities.shape[1])
    return recall_score(labels, probabilities.argmax(1), labels=classes, average=None, zero_division=np.nan)


def specificity(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """For each class, the share of the images of other classes that are not predicted as this class."""
    predicted = probabilities.argmax(1)
    result = np.full(probabilities.shape[1], np.nan)
    for index in range(probabilities.shape[1]):
        negative = labels != index
        if negative.any():
            result[index] = (predicted[negative] != index).mean()
    return result


def mean_of_classes(
    function: Callable[[Probabilities, Labels], NDArray],
) -> Callable[[Probabilities, Labels], float]:
    """The unweighted mean of a class metric over the classes that occur; NaN if there is only one."""

    def mean(probabilities: Probabilities, labels: Labels) -> float:
        present = counts(probabilities, labels) > 0
        if present.sum() < 2:
            return float("nan")
        return float(function(probabilities, labels)[present].mean())

    return mean


def accuracy(probabilities: Probabilities, labels: Labels) -> float:
    """The share of correct predictions."""
    return float(accuracy_score(labels, probabilities.argmax(1)))


def count(probabilities: Probabilities, labels: Labels) -> float:
    """The number of images or studies."""
    return float(len(labels))


def as_text(value: float, digits: int = 6) -> str:
    """A value for people and tables."""
    return "undefined" if np.isnan(value) else f"{value:.{digits}g}"


def label_of(name: str) -> str:
    """The name of a metric for people, also with a prefix such as ``test_``."""
    for metric in OVERALL_METRICS:
        if name.endswith(metric.name):
            return name.removesuffix(metric.name).replace("_", " ") + metric.label
    return name.replace("_", " ")


KEY_METRIC = "balanced_accuracy"
CLASS_METRICS = (
    ClassMetric("auc", auc),
    ClassMetric("f1", f1),
    ClassMetric("sensitivity", sensitivity),
    ClassMetric("specificity", specificity),
    ClassMetric("count", counts),
)
OVERALL_METRICS = (
    OverallMetric("accuracy", accuracy, "accuracy", "accuracy"),
    # the mean sensitivity is the balanced accuracy
    OverallMetric("balanced_accuracy", mean_of_classes(sensitivity), "balanced accuracy", "sensitivity", drawn=True),
    OverallMetric("macro_auc", mean_of_classes(auc), "macro AUC", "auc", drawn=True),
    OverallMetric("macro_f1", mean_of_classes(f1), "macro F1", "f1"),
    OverallMetric("count", count, "count", "count", compared=False),
)


def overall_metrics() -> dict[str, OverallMetric]:
    """The metrics that trainings use and comparisons show, by name."""
    return {metric.name: metric for metric in OVERALL_METRICS if metric.compared}


def compared_names() -> tuple[str, ...]:
    """The names of these metrics in the order of tables; the key metric comes first."""
    return (KEY_METRIC, *(name for name in overall_metrics() if name != KEY_METRIC))


def drawn_labels() -> dict[str, str]:
    """The labels, by name, of the metrics that comparisons draw."""
    return {metric.name: metric.label for metric in OVERALL_METRICS if metric.drawn}


@dataclass(frozen=True)
class ClassificationMetrics:
    """Quality of a classifier on labeled images or studies.

    Args:
        overall: values of ``OVERALL_METRICS`` by name.
        per_class: for each class name, values of ``CLASS_METRICS`` by name.
        confusion: ``(C, C)`` counts, rows are true classes, columns predicted ones.
        class_names: in the order of the labels.
    """

    overall: dict[str, float]
    per_class: dict[str, dict[str, float]]
    confusion: NDArray[np.int64]
    class_names: tuple[str, ...]

    @property
    def missing_classes(self) -> list[str]:
        """Names of the classes without images or studies; means are over the other classes."""
        return [name for name, total in zip(self.class_names, self.confusion.sum(1)) if total == 0]


def classification_metrics(
    probabilities: Probabilities, labels: Labels, class_names: Sequence[str]
) -> ClassificationMetrics:
    """Compute all metrics from one set of predictions.

    Args:
        probabilities: ``(N, C)``, each row sums to 1.
        labels: ``(N,)``, class indices.
        class_names: C names.

    Raises:
        ValueError: if there is no prediction, the shapes disagree, or a probability is NaN or infinite.

    Examples:
        >>> probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.7, 0.3], [0.1, 0.9]])
        >>> metrics = classification_metrics(probabilities, np.array([0, 0, 1, 1]), ["healthy", "ill"])
        >>> metrics.overall["balanced_accuracy"], metrics.per_class["ill"]["sensitivity"]
        (0.75, 0.5)
        >>> metrics.confusion.tolist()
        [[2, 0], [1, 1]]
    """
    refuse_wrong_predictions(probabilities, labels, len(class_names))
    columns = {metric.name: metric.function(probabilities, labels) for metric in CLASS_METRICS}
    per_class = {}
    for index, class_name in enumerate(class_names):
        per_class[class_name] = {name: float(values[index]) for name, values in columns.items()}
    return ClassificationMetrics(
        overall={metric.name: metric.function(probabilities, labels) for metric in OVERALL_METRICS},
        per_class=per_class,
        confusion=confusion_matrix(labels, probabilities.argmax(1), labels=range(len(class_names))),
        class_names=tuple(class_names),
    )


def refuse_wrong_predictions(probabilities: Probabilities, labels: Labels, classes: int) -> None:
    """Raise ValueError for wrong predictions; see :func:`classification_metrics`."""
    if len(labels) == 0 or probabilities.shape != (len(labels), classes):
        raise ValueError(
            f"expected probabilities (N, {classes}) and labels (N,) with N > 0, "
            f"got {probabilities.shape} and {labels.shape}"
        )
    if not np.isfinite(probabilities).all():
        raise ValueError(f"{int((~np.isfinite(probabilities)).any(1).sum())} predictions are NaN or infinite")
