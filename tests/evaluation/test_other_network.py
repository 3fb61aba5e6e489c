"""Another network on the images of an evaluation: its own pixels, slices, classes and calibration."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from dwskd_monai.bundle.trained_parts import load_other_settings
from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.evidence import Evidence, tempered
from dwskd_monai.evaluation.other_network import OtherNetwork
from dwskd_monai.evaluation.report import EvaluationReport
from tests.bundles.commands import SMALL_SETTINGS, save_network
from tests.conftest import BUNDLE, tiny_convnext
from tests.evaluation.evaluate import LOGITS, evaluate, read_rows
from tests.evaluation.workflows import run_configs

NAMES = ("a", "b", "c")
CLASSES = ("covid19", "no_findings", "pneumonia")


def slices_of(logits, counts, order=None):
    """Items of a dataset of slices, whose images are the logits of a network that does nothing."""
    items = [
        {"image": None, "study": f"{number}.png", "slice": index, "slices": count}
        for number, count in enumerate(counts)
        for index in range(count)
    ]
    items = [item | {"image": row} for item, row in zip(items, logits, strict=True)]
    return items if order is None else [items[place] for place in order]


def test_a_study_is_predicted_by_all_its_slices_in_whatever_order_and_calibrated():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    dataset = slices_of(logits, (3, 1, 2), order=(5, 0, 3, 2, 4, 1))
    evidence = Evidence(2.0)
    other = OtherNetwork(torch.nn.Identity(), dataset, NAMES, NAMES, Aggregation("max"), evidence, batch_size=2)
    rows = logits.softmax(1).double().numpy()
    wholes = [tempered(Aggregation("max")(part), 2.0) for part in np.split(rows, [3, 4])]
    np.testing.assert_allclose(other.of(["2.png", "0.png", "1.png"]), [wholes[2], wholes[0], wholes[1]], atol=1e-6)


def test_classes_in_another_order_are_put_in_that_of_the_evaluation_and_other_classes_refused():
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    dataset = slices_of(logits, (1,))
    other = OtherNetwork(
        torch.nn.Identity(), dataset, {"0": "a", "1": "b", "2": "c"}, ("c", "a", "b"), Aggregation(), Evidence()
    )
    probabilities = logits.softmax(1)[0].numpy()
    assert other.of(["0.png"])[0] == pytest.approx(probabilities[[1, 2, 0]])
    with pytest.raises(ValueError, match="expected a network of the classes a, b, c, got one of a, b, d"):
        OtherNetwork(torch.nn.Identity(), dataset, NAMES, ("a", "b", "d"), Aggregation(), Evidence())


def test_an_evaluator_compares_the_same_studies(tmp_path):
    dataset = slices_of(LOGITS.flip(1), (1, 1, 1, 1))
    other = OtherNetwork(torch.nn.Identity(), dataset, NAMES, NAMES, Aggregation(), Evidence(), weights_sha256="1e")
    with pytest.raises(ValueError, match="leave out report: false"):
        EvaluationReport(tmp_path, NAMES, other=other, report=False)
    evaluate(EvaluationReport(tmp_path, NAMES, other=other))
    found = json.loads((tmp_path / "metrics.json").read_text())["report"]["against"]
    assert found["weights_sha256"] == found["network"]["digest of the weights"] == "1e"
    assert found["reclassification"]["classes"]["c"]["table"] == [[0, 0, 1], [0, 2, 0], [0, 0, 0]]
    assert (found["mcnemar"]["only_this"], found["mcnemar"]["only_other"]) == (2, 0)


@pytest.fixture
def pictures(tmp_path):
    """Twelve pictures of each class."""
    random = np.random.default_rng(0)
    for name in CLASSES:
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(12):
            pixels = random.integers(0, 255, (40, 48)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


@pytest.mark.slow
def test_a_network_in_another_bundle_is_compared_by_the_predictions_of_its_own_evaluation(pictures, tmp_path):
    """With another image size."""
    models = []
    for seed, size in enumerate((32, 48)):
        torch.manual_seed(seed)
        settings = SMALL_SETTINGS | {"image_size": size}
        models.append(save_network(tiny_convnext(ls_init_value=1.0), tmp_path / f"models{seed}", **settings))
    same = {"dataset_dir": str(pictures), "split": "all", "cache_dir": None}
    for number, (folder, size) in enumerate(zip(models, (32, 48), strict=True)):
        places = {"ckpt_dir": str(folder), "output_dir": str(tmp_path / str(number)), "image_size": size}
        run_configs(BUNDLE, "train", "evaluate", **same, **places, report=False)
    places = {"ckpt_dir": str(models[0]), "output_dir": str(tmp_path / "both")}
    run_configs(BUNDLE, "train", "evaluate", "against", **same, **places, against=str(models[1] / "model.pt"))
    found = json.loads((tmp_path / "both" / "metrics.json").read_text())["report"]["against"]
    for number, network in enumerate(("this", "other")):
        alone = json.loads((tmp_path / str(number) / "metrics.json").read_text())["study"]["overall"]
        for key, name in (("accuracy", "accuracy"), ("balanced_accuracy", "balanced_accuracy"), ("auc", "macro_auc")):
            assert found["metrics"][key][network]["value"] == pytest.approx(alone[name], abs=1e-6)
    rows = [read_rows(tmp_path / name / "predictions.csv") for name in ("0", "both")]
    assert rows[0] == rows[1], "the other network changes nothing"
    assert found["trained_images"] is None


@pytest.mark.parametrize(
    ("against", "message"),
    [
        (None, "against: give the other network"),
        ([0, 255], r"file of its weights; got \[0, 255\]"),
        ("a", "a does not"),
    ],
)
def test_another_network_that_is_none_is_refused(against, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_other_settings(against)
