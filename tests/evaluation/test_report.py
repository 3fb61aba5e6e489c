from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.metric_files import write_metrics
from dwskd_monai.evaluation.metrics import classification_metrics
from dwskd_monai.evaluation.report import EvaluationReport
from tests.evaluation.evaluate import LOGITS, evaluate, read_rows

EXPECTED = Path(__file__).parent / "expected"


def test_report_has_metrics_of_studies_and_of_slices(tmp_path):
    logits = torch.randn(9, 3)
    evaluate(EvaluationReport(tmp_path, ("a", "b", "c")), logits, (4, 1, 2, 2), (0, 1, 2, 2))
    probabilities = logits.softmax(1).double().numpy()
    wholes = np.stack([part.mean(0) for part in np.split(probabilities, [4, 5, 7])])
    expected = {
        "study": classification_metrics(wholes, np.array([0, 1, 2, 2]), ("a", "b", "c")),
        "slice": classification_metrics(probabilities, np.array([0, 0, 0, 0, 1, 2, 2, 2, 2]), ("a", "b", "c")),
    }
    content = json.loads((tmp_path / "metrics.json").read_text())
    table = read_rows(tmp_path / "metrics.csv")
    for level, metrics in expected.items():
        assert content[level]["overall"] == pytest.approx(metrics.overall)
        assert content[level]["confusion"] == metrics.confusion.tolist()
        assert [row[1] for row in table if row[0] == level] == ["a", "b", "c", "all"]


def test_report_files_agree_with_the_metrics(tmp_path):
    evaluate(EvaluationReport(tmp_path, ("a", "b", "c")))
    labels = np.array([0, 2, 2, 2])
    expected = classification_metrics(LOGITS.softmax(1).double().numpy(), labels, ("a", "b", "c"))
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert {"study", "slice"} & set(content) == {"study"}, (
        "where each study has one slice, there is nothing else to tell"
    )
    assert content["study"]["overall"] == pytest.approx(expected.overall)
    assert content["study"]["per_class"]["b"]["auc"] is None, "not defined: null, not NaN"
    assert content["study"]["confusion"] == [[1, 0, 0], [0, 0, 0], [0, 2, 1]]
    assert read_rows(tmp_path / "confusion_matrix.csv") == [
        ["true \\ predicted", "a", "b", "c"],
        ["a", "1", "0", "0"],
        ["b", "0", "0", "0"],
        ["c", "0", "2", "1"],
    ]
    table = read_rows(tmp_path / "metrics.csv")
    assert table[0] == ["level", "class", "auc", "f1", "sensitivity", "specificity", "count", "accuracy"]
    assert [row[:2] for row in table[1:]] == [["study", name] for name in ("a", "b", "c", "all")]
    assert float(table[4][7]) == 0.5
    with Image.open(tmp_path / "confusion_matrix.png") as picture:
        assert picture.width > 400
        assert len(set(picture.convert("L").tobytes())) > 20, "something is drawn"
    assert not list(tmp_path.glob("*.tmp"))


def test_a_class_that_no_study_has_is_said_beside_the_means(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    evaluate(EvaluationReport(tmp_path, ("a", "b", "c")))
    study = json.loads((tmp_path / "metrics.json").read_text())["study"]
    assert study["missing_classes"] == ["b"]
    assert study["overall"]["balanced_accuracy"] == pytest.approx((1 + 1 / 3) / 2)
    table = read_rows(tmp_path / "metrics.csv")
    assert [row[2] for row in table[1:4]] == ["1", "undefined", "1"]
    assert "no study is of class b: its values are undefined, and balanced_accuracy" in caplog.text
    assert "means of the 2 other classes" in caplog.text


def test_studies_of_one_class_have_no_balanced_accuracy(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    evaluate(EvaluationReport(tmp_path, ("a", "b", "c")), labels=(2, 2, 2, 2))
    study = json.loads((tmp_path / "metrics.json").read_text())["study"]
    assert study["overall"]["balanced_accuracy"] is None
    assert study["missing_classes"] == ["a", "b"]
    assert "accuracy 0.25, balanced_accuracy undefined, macro_auc undefined" in caplog.text


@pytest.mark.parametrize("name", ["metrics.json", "metrics.csv", "confusion_matrix.csv"])
def test_files_are_byte_for_byte_what_they_were(tmp_path, name):
    """Kept on 2026-11-26: programs read these files. Since then, what is undefined is so called, and classes without a
    study are listed."""
    rng = np.random.default_rng(0)
    names = ("covid", "no findings", "of no study")
    labels = rng.integers(0, 2, 17)
    studies = rng.dirichlet([1, 1, 0.5], 17).round(3)
    slices = rng.dirichlet([2, 1, 0.2], 51).round(3)
    levels = {
        "study": classification_metrics(studies, labels, names),
        "slice": classification_metrics(slices, labels.repeat(3), names),
    }
    write_metrics(levels, tmp_path)
    assert (tmp_path / name).read_bytes() == (EXPECTED / name).read_bytes()


def test_metrics_describe_what_inference_says(tmp_path):
    logits, names = torch.randn(9, 3), ("a", "b", "c")
    evidence = Evidence(3.0)
    evaluate(EvaluationReport(tmp_path, names, evidence=evidence), logits, (4, 1, 2, 2), (0, 1, 2, 2))
    probabilities = logits.softmax(1).double().numpy()
    wholes = evidence.calibrated(np.stack([part.mean(0) for part in np.split(probabilities, [4, 5, 7])]))
    expected = classification_metrics(wholes, np.array([0, 1, 2, 2]), names)
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["study"]["overall"] == pytest.approx(expected.overall)
    assert content["evidence_measured"]["calibration"]["after"] == "too few (n = 4)"


def test_images_that_fitted_the_evidence_are_said(tmp_path, caplog):
    evaluate(EvaluationReport(tmp_path, ("a", "b", "c"), fitted_images=3))
    assert json.loads((tmp_path / "metrics.json").read_text())["fitted_images"] == 3
    assert "3 of the images chose the epoch, and fitted calibration" in caplog.text


def test_an_evaluation_without_labels_is_refused(tmp_path):
    with pytest.raises(ValueError, match="0.png: no label; an evaluation needs the label of each study"):
        evaluate(EvaluationReport(tmp_path, ("a", "b", "c")), labeled=False)


def test_the_page_says_how_slices_became_studies_here_and_not_in_the_training(tmp_path):
    settings = {"network_def": {"model_name": "convnext_atto"}, "aggregate": "mean", "top_k": 5}
    evaluate(EvaluationReport(tmp_path, ("a", "b", "c"), Aggregation("max"), settings=settings))
    page = " ".join(re.sub(r"<[^>]+>", " ", (tmp_path / "report.html").read_text()).split())
    assert "slices become a study by max" in page


def test_the_metrics_say_which_network_and_which_images_they_are_of(tmp_path):
    aggregation = Aggregation("top_k", 3)
    names = ("a", "b", "c")
    evaluate(EvaluationReport(tmp_path, names, aggregation, weights_sha256="0f", trained_images=True))
    content = json.loads((tmp_path / "metrics.json").read_text())
    origin = {"weights_sha256": "0f", "classes": list(names), "aggregation": {"method": "top_k", "k": 3}}
    assert {key: content[key] for key in origin} == origin
    assert content["trained_images"] is True
    origin |= {"trained_images": True, "refused_images": 0, "accepted": [], "unusual_planes": {}}
    origin |= {"unlike_training": None, "abstain": False}
    origin |= {"fitted_images": None, "evidence": {"applied": False, "reason": "evidence is null"}}
    assert json.loads((tmp_path / "predictions.json").read_text()) == origin
