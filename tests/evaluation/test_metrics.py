from __future__ import annotations

import math

import numpy as np
import pytest

from dwskd_monai.evaluation import metric_files, metrics
from dwskd_monai.evaluation.cards.model_page import model_page
from dwskd_monai.evaluation.metrics import OverallMetric, classification_metrics
from dwskd_monai.evaluation.study_metric import StudyMetric

NAMES = ("a", "b", "c")


def one_hot(predicted: list[int]) -> np.ndarray:
    return np.eye(3)[predicted]


def test_a_case_computed_by_hand():
    # true a: 3 of 4 right; true b: 1 of 2; true c: 2 of 2
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    metrics = classification_metrics(one_hot([0, 0, 0, 1, 1, 2, 2, 2]), labels, NAMES)
    assert metrics.confusion.tolist() == [[3, 1, 0], [0, 1, 1], [0, 0, 2]]
    assert metrics.overall["accuracy"] == pytest.approx(6 / 8)
    assert metrics.overall["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert metrics.overall["count"] == 8
    assert metrics.per_class["a"]["sensitivity"] == pytest.approx(3 / 4)
    assert metrics.per_class["a"]["specificity"] == 1
    assert metrics.per_class["b"]["specificity"] == pytest.approx(5 / 6)
    assert metrics.per_class["b"]["f1"] == pytest.approx(1 / 2)
    assert metrics.per_class["c"]["f1"] == pytest.approx(4 / 5)
    assert metrics.overall["macro_f1"] == pytest.approx((6 / 7 + 1 / 2 + 4 / 5) / 3)
    assert metrics.per_class["a"]["count"] == 4


def test_auc_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([1, 1, 1], 40)
    labels = rng.integers(0, 3, 40)
    metrics = classification_metrics(probabilities, labels, NAMES)
    expected = []
    for index, name in enumerate(NAMES):
        positive = probabilities[labels == index, index]
        negative = probabilities[labels != index, index]
        right = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
        expected.append(np.mean(right))
        assert metrics.per_class[name]["auc"] == pytest.approx(expected[-1])
    assert metrics.overall["macro_auc"] == pytest.approx(np.mean(expected))


def test_a_class_without_images_is_not_in_the_means():
    metrics = classification_metrics(one_hot([0, 1, 1]), np.array([0, 1, 0]), NAMES)
    assert metrics.overall["balanced_accuracy"] == pytest.approx((1 / 2 + 1) / 2)
    assert math.isnan(metrics.per_class["c"]["auc"])
    assert math.isnan(metrics.per_class["c"]["sensitivity"])
    assert metrics.per_class["c"]["specificity"] == 1
    assert math.isfinite(metrics.overall["macro_auc"])


def test_one_class_alone_has_an_accuracy_and_no_auc_nor_a_mean_of_classes():
    metrics = classification_metrics(one_hot([0, 1]), np.array([0, 0]), NAMES)
    assert metrics.overall["accuracy"] == 0.5
    assert math.isnan(metrics.overall["balanced_accuracy"])
    assert math.isnan(metrics.overall["macro_f1"])
    assert metrics.per_class["a"]["sensitivity"] == 0.5
    assert metrics.missing_classes == ["b", "c"]
    assert math.isnan(metrics.overall["macro_auc"])
    assert math.isnan(metrics.per_class["a"]["specificity"])


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "N > 0"),
        (np.zeros((2, 2)), np.zeros(2, int), r"expected probabilities \(N, 3\)"),
        (np.full((2, 3), np.nan), np.zeros(2, int), "2 predictions are NaN"),
    ],
)
def test_wrong_predictions_are_refused(probabilities, labels, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(probabilities, labels, NAMES)


def test_a_new_metric_is_a_row_of_the_table_and_then_everywhere(monkeypatch, tmp_path):
    new = OverallMetric(
        "least_sensitivity", lambda probabilities, labels: 0.25, "least sensitivity", "least", drawn=True
    )
    for module in (metrics, metric_files):
        monkeypatch.setattr(module, "OVERALL_METRICS", (*metrics.OVERALL_METRICS, new))
    result = classification_metrics(one_hot([0, 1, 2]), np.array([0, 1, 2]), NAMES)
    assert result.overall["least_sensitivity"] == 0.25
    rows = list(metric_files.metric_rows({"study": result}))
    assert [row[-1] for row in rows] == ["least", "", "", "", "0.25"]
    assert metrics.compared_names()[-1] == "least_sensitivity", "comparisons and the model card"
    assert metrics.drawn_labels()["least_sensitivity"] == "least sensitivity"
    assert StudyMetric("least_sensitivity", NAMES).metric is new
    metrics_of_a_pack = {"study": {"overall": result.overall, "per_class": result.per_class}}
    card = model_page("## Performance\n", metrics_of_a_pack)
    assert "| least sensitivity | 0.250 |" in card


def test_the_key_metric_comes_first_in_comparisons():
    assert metrics.compared_names() == ("balanced_accuracy", "accuracy", "macro_auc", "macro_f1")
