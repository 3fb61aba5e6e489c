from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from torch import nn

from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.studies import IncompleteStudiesError
from dwskd_monai.evaluation.study_metric import StudyMetric

NAMES = {"0": "a", "1": "b", "2": "c"}
STUDIES = np.repeat(np.arange(12), [1, 5, 2, 3, 4, 1, 2, 2, 6, 1, 3, 4])
LABELS = np.arange(12) % 3
COUNTS = np.bincount(STUDIES)
SLICES = np.concatenate([np.arange(count) for count in COUNTS])


def measure(logits: torch.Tensor, order: np.ndarray, **metrics: StudyMetric) -> dict[str, float]:
    labels = torch.from_numpy(LABELS[STUDIES])
    batches = [
        {
            "image": logits[part],
            "label": labels[part],
            "study": [f"S{study}" for study in STUDIES[part]],
            "study_index": torch.from_numpy(STUDIES[part]),
            "slice": torch.from_numpy(SLICES[part]),
            "slices": torch.from_numpy(COUNTS[STUDIES[part]]),
        }
        for part in np.array_split(order, 6)
    ]
    key, *others = metrics
    evaluator = SupervisedEvaluator(
        "cpu",
        val_data_loader=batches,
        network=nn.Identity(),
        postprocessing=Activationsd(keys="pred", softmax=True),
        key_val_metric={key: metrics[key]},
        additional_metrics={name: metrics[name] for name in others},
    )
    evaluator.run()
    return evaluator.state.metrics


@pytest.mark.parametrize("method", ["mean", "max", "top_k"])
def test_studies_and_slices_are_counted_as_scikit_learn_counts_them(method):
    logits = torch.randn(len(STUDIES), 3)
    logits[torch.arange(len(STUDIES)), torch.from_numpy(LABELS[STUDIES])] += 0.7
    aggregation = Aggregation(method, 2)
    probabilities = logits.softmax(1).double().numpy()
    wholes = np.stack([aggregation(probabilities[study == STUDIES]) for study in range(12)])
    results = measure(
        logits,
        np.random.default_rng(0).permutation(len(STUDIES)),
        study=StudyMetric("balanced_accuracy", NAMES, aggregation),
        accuracy=StudyMetric("accuracy", NAMES, aggregation),
        slice=StudyMetric("balanced_accuracy", NAMES, aggregation, level="slice"),
    )
    assert results["study"] == pytest.approx(balanced_accuracy_score(LABELS, wholes.argmax(1)))
    assert results["accuracy"] == pytest.approx(accuracy_score(LABELS, wholes.argmax(1)))
    assert results["slice"] == pytest.approx(balanced_accuracy_score(LABELS[STUDIES], probabilities.argmax(1)))
    assert results["study"] != results["slice"]


def test_a_prediction_that_is_not_finite_makes_it_nan():
    logits = torch.randn(len(STUDIES), 3)
    logits[4, 1] = torch.nan
    assert math.isnan(measure(logits, np.arange(len(STUDIES)), x=StudyMetric("macro_auc", NAMES))["x"])


def test_of_one_class_alone_balanced_accuracy_is_its_recall_and_other_means_are_undefined(monkeypatch):
    monkeypatch.setattr("tests.evaluation.test_study_metric.LABELS", np.full(12, 1))
    logits = torch.zeros(len(STUDIES), 3)
    logits[:, 1] = 1  # always right
    metrics = {name: StudyMetric(name, NAMES) for name in ("balanced_accuracy", "macro_auc", "macro_f1", "accuracy")}
    results = measure(logits, np.arange(len(STUDIES)), **metrics)
    assert results["accuracy"] == results["balanced_accuracy"] == 1
    assert all(math.isnan(results[name]) for name in ("macro_auc", "macro_f1"))


def test_classes_are_in_the_order_of_their_keys():
    assert StudyMetric("accuracy", {"1": "b", "0": "a"}).class_names == ["a", "b"]


def test_a_study_that_lacks_slices_is_named():
    order = np.delete(np.arange(len(STUDIES)), [0, 2])  # the one slice of the first study, one of five of the second
    with pytest.raises(IncompleteStudiesError, match=r"incomplete studies have no prediction: S1 \(4 of 5 slices\)"):
        measure(torch.randn(len(STUDIES), 3), order, x=StudyMetric("accuracy", NAMES))
    assert measure(torch.randn(len(STUDIES), 3), order, x=StudyMetric("accuracy", NAMES, level="slice"))["x"] > 0


def test_a_slice_that_a_sampler_repeats_is_named():
    order = np.append(np.arange(len(STUDIES)), 3)
    with pytest.raises(ValueError, match="S1: slice 2 came after all slices of the study; expected each of them once"):
        measure(torch.randn(len(STUDIES), 3), order, x=StudyMetric("accuracy", NAMES))


def test_a_process_without_a_prediction_takes_part_in_the_gathering(monkeypatch):
    """As with two processes and one slice; another process's tensors are put behind this one's."""
    metric = StudyMetric("accuracy", NAMES)
    sent: list[torch.Tensor] = []
    received = {torch.float64: torch.tensor([[0.1, 0.8, 0.1]]).double(), torch.long: torch.tensor([[7, 0, 1, 1]])}

    def gather(tensor: torch.Tensor, concat: bool) -> torch.Tensor:
        sent.append(tensor)
        return torch.cat([tensor, received[tensor.dtype]])

    monkeypatch.setattr("dwskd_monai.evaluation.collected.evenly_divisible_all_gather", gather)
    assert metric.compute() == 1.0
    assert [tuple(tensor.shape) for tensor in sent] == [(0, 3), (0, 4)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "recall"}, "metric must be one of accuracy, balanced_accuracy, macro_auc, macro_f1; got 'recall'"),
        ({"metric": "accuracy", "level": "patient"}, "level must be one of study, slice; got 'patient'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        StudyMetric(class_names=NAMES, **arguments)
