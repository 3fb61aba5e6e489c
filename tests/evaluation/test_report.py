from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from monai.data import decollate_batch
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd
from PIL import Image
from torch import nn

from dwskd_monai.evaluation.metrics import classification_metrics
from dwskd_monai.evaluation.report import EvaluationReport, PredictionWriter

LOGITS = torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])


def evaluate(handler, names=("a", "b", "c"), logits=LOGITS) -> None:
    batches = [
        {"image": logits[i : i + 2], "label": torch.tensor([i, 2]), "file": [f"{i}.png", f"{i + 1}.png"]}
        for i in (0, 2)
    ]
    assert len(decollate_batch(batches[0])) == 2
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


def test_predictions_have_a_row_per_image_with_names(tmp_path):
    evaluate(PredictionWriter(tmp_path, {"0": "a", "1": "b", "2": "c"}))
    rows = read_rows(tmp_path / "predictions.csv")
    assert rows[0] == ["file", "label", "predicted", "a", "b", "c"]
    assert [row[:3] for row in rows[1:]] == [
        ["0.png", "a", "a"],
        ["1.png", "c", "b"],
        ["2.png", "c", "c"],
        ["3.png", "c", "b"],
    ]
    assert np.allclose(np.array([row[3:] for row in rows[1:]], float), LOGITS.softmax(1).numpy(), atol=1e-6)


def test_a_handler_used_twice_starts_anew(tmp_path):
    handler = PredictionWriter(tmp_path, ("a", "b", "c"))
    evaluate(handler)
    evaluate(handler)
    assert len(read_rows(tmp_path / "predictions.csv")) == 5


def test_report_files_agree_with_the_metrics(tmp_path):
    evaluate(EvaluationReport(tmp_path, ("a", "b", "c")))
    labels = np.array([0, 2, 2, 2])
    expected = classification_metrics(LOGITS.softmax(1).double().numpy(), labels, ("a", "b", "c"))
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["overall"] == pytest.approx(expected.overall)
    assert content["per_class"]["b"]["auc"] is None, "not defined: null, not NaN"
    assert content["confusion"] == [[1, 0, 0], [0, 0, 0], [0, 2, 1]]
    assert read_rows(tmp_path / "confusion_matrix.csv") == [
        ["true \\ predicted", "a", "b", "c"],
        ["a", "1", "0", "0"],
        ["b", "0", "0", "0"],
        ["c", "0", "2", "1"],
    ]
    table = read_rows(tmp_path / "metrics.csv")
    assert table[0] == ["class", "auc", "f1", "sensitivity", "specificity", "images", "accuracy"]
    assert [row[0] for row in table[1:]] == ["a", "b", "c", "all"]
    assert float(table[4][6]) == 0.5
    with Image.open(tmp_path / "confusion_matrix.png") as picture:
        assert picture.width > 400
        assert len(set(picture.convert("L").tobytes())) > 20, "something is drawn"
    assert not list(tmp_path.glob("*.tmp"))


def test_a_network_with_another_number_of_outputs_is_named(tmp_path):
    with pytest.raises(ValueError, match="0.png: the network has 3 outputs, the metadata 2 classes"):
        evaluate(PredictionWriter(tmp_path, ("a", "b")))
    assert not (tmp_path / "predictions.csv").exists()


def test_a_prediction_that_is_not_finite_names_the_image(tmp_path):
    logits = LOGITS.clone()
    logits[3, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="3.png: the network's prediction is not finite"):
        evaluate(PredictionWriter(tmp_path, ("a", "b", "c")), logits=logits)
