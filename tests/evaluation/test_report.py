from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd
from PIL import Image
from torch import nn

from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.metrics import classification_metrics
from dwskd_monai.evaluation.report import EvaluationReport, PredictionWriter

LOGITS = torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])


def evaluate(handler, logits=LOGITS, slices=(1, 1, 1, 1), labels=(0, 2, 2, 2), labelled=True) -> None:
    """Predict studies of so many slices each, batches going across studies."""
    items = [
        {"study": f"{number}.png", "slice": index, "slices": count, "label": label}
        for number, (count, label) in enumerate(zip(slices, labels))
        for index in range(count)
    ]
    batches = []
    for first in range(0, len(items), 3):
        part = items[first : first + 3]
        batch = {"image": logits[first : first + 3], "study": [item["study"] for item in part]}
        keys = ("slice", "slices", "label") if labelled else ("slice", "slices")
        batch |= {key: torch.tensor([item[key] for item in part]) for key in keys}
        batches.append(batch)
    SupervisedEvaluator(
        "cpu",
        val_data_loader=batches,
        network=nn.Identity(),
        postprocessing=Activationsd(keys="pred", softmax=True),
        val_handlers=[handler],
    ).run()


def read_rows(path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_predictions_have_a_row_per_picture_with_names(tmp_path):
    evaluate(PredictionWriter(tmp_path, {"0": "a", "1": "b", "2": "c"}))
    rows = read_rows(tmp_path / "predictions.csv")
    assert rows[0] == ["study", "label", "predicted", "a", "b", "c", "slices"]
    assert [row[:3] for row in rows[1:]] == [
        ["0.png", "a", "a"],
        ["1.png", "c", "b"],
        ["2.png", "c", "c"],
        ["3.png", "c", "b"],
    ]
    assert np.allclose(np.array([row[3:6] for row in rows[1:]], float), LOGITS.softmax(1).numpy(), atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"], "studies have one slice each"


def test_slices_are_aggregated_and_have_rows_of_their_own(tmp_path):
    logits = torch.randn(7, 3)
    evaluate(PredictionWriter(tmp_path, ("a", "b", "c"), Aggregation("max")), logits, (4, 1, 2), labelled=False)
    probabilities = logits.softmax(1).double().numpy()
    rows = read_rows(tmp_path / "predictions.csv")
    assert rows[0] == ["study", "predicted", "a", "b", "c", "slices"]
    parts = [probabilities[:4], probabilities[4:5], probabilities[5:]]
    expected = [largest / largest.sum() for largest in (part.max(0) for part in parts)]
    assert np.allclose(np.array([row[2:5] for row in rows[1:]], float), expected, atol=1e-6)
    assert [row[5] for row in rows[1:]] == ["4", "1", "2"]
    slices = read_rows(tmp_path / "slice_predictions.csv")
    assert slices[0] == ["study", "slice", "predicted", "a", "b", "c"]
    assert [row[:2] for row in slices[1:]] == [["0.png", str(i)] for i in range(4)] + [["2.png", "0"], ["2.png", "1"]]
    assert np.allclose(np.array([row[3:] for row in slices[1:]], float), probabilities[[0, 1, 2, 3, 5, 6]], atol=1e-6)


def test_an_interruption_costs_no_finished_study(tmp_path):
    logits = torch.randn(7, 3)
    logits[6] = torch.nan
    (tmp_path / "predictions.csv").write_text("of an earlier run")
    with pytest.raises(FloatingPointError, match="2.png: the network's prediction is not finite"):
        evaluate(PredictionWriter(tmp_path, ("a", "b", "c")), logits, (4, 1, 2))
    assert [row[0] for row in read_rows(tmp_path / "predictions.partial.csv")] == ["study", "0.png", "1.png"]
    assert (tmp_path / "predictions.csv").read_text() == "of an earlier run"


def test_a_handler_used_twice_starts_anew(tmp_path):
    handler = PredictionWriter(tmp_path, ("a", "b", "c"))
    evaluate(handler)
    evaluate(handler)
    assert len(read_rows(tmp_path / "predictions.csv")) == 5


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
    assert list(content) == ["study"], "where each study has one slice, there is nothing else to tell"
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


def test_an_evaluation_without_labels_is_refused(tmp_path):
    with pytest.raises(ValueError, match="0.png: no label; an evaluation needs the label of each study"):
        evaluate(EvaluationReport(tmp_path, ("a", "b", "c")), labelled=False)


def test_a_network_with_another_number_of_outputs_is_named(tmp_path):
    with pytest.raises(ValueError, match="0.png: the network has 3 outputs, the metadata 2 classes"):
        evaluate(PredictionWriter(tmp_path, ("a", "b")))
    assert not (tmp_path / "predictions.csv").exists()
