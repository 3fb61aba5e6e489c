"""``evaluate.yaml`` and ``inference.yaml`` predict one datalist alike, in this process."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
import yaml
from monai.transforms import Compose

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.settings_file import read_settings
from dwskd_monai.data.phantoms import make_phantom
from dwskd_monai.evaluation.evidence import tempered
from dwskd_monai.evaluation.novelty import describe_slices
from dwskd_monai.evaluation.novelty_fitting import fit_novelty
from tests.bundles.commands import SMALL_SETTINGS, save_network
from tests.conftest import BUNDLES, tiny_convnext
from tests.evaluation.workflows import run_configs

BUNDLE = BUNDLES[1]
NAMES = ("covid", "non_covid")
ROWS = ("covid,P1,S1,", "non_covid,P2,,", "covid,P1,S1,")  # the images of S1 are apart


@pytest.fixture
def datalist(tmp_path) -> Path:
    """Three phantoms, two of which are one study."""
    lines = ["image,label,patient,study,split"]
    for seed, row in enumerate(ROWS):
        image = make_phantom("lung_ct", tmp_path / f"image{seed}", seed)
        lines.append(f"{image.name},{row}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    return tmp_path / "list.csv"


@pytest.fixture
def models(tmp_path) -> Path:
    return save_network(tiny_convnext(num_classes=2, ls_init_value=1.0), tmp_path / "models", BUNDLE, **SMALL_SETTINGS)


def read_rows(path: Path, key: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, str]]:
    with path.open(newline="") as file:
        return {tuple(row[column] for column in key): row for row in csv.DictReader(file)}


@pytest.fixture
def evidence(models) -> dict[str, Any]:
    """What a training with enough validation images would have written beside the network."""
    content = {
        "fitted_on": "validation images, which also chose the epoch",
        "aggregation": {"method": "mean", "k": 5},
        "temperature": {"value": 3.0, "n": 50},
        "operating_points": {
            "rule": "youden",
            "classes": {"covid": {"threshold": 0.0}, "non_covid": {"threshold": 1.0}},
        },
        "prediction_sets": {"coverage": 0.9, "classes": {"covid": {"threshold": 1.0}, "non_covid": {"threshold": 0.0}}},
    }
    file = models / "model.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"evidence": content}))
    return content


def predict_and_evaluate(datalist: Path, models: Path, folder: Path, **settings: Any) -> tuple[Path, Path]:
    """The folders of the results of inference and of an evaluation of the same images."""
    bare = {"shortcuts": False, "explained": 0}
    common = {"dataset_dir": str(datalist), "ckpt_dir": str(models), **settings}
    evaluated = folder / "evaluated"
    inferred = folder / "inferred"
    run_configs(BUNDLE, "train", "evaluate", **common, output_dir=str(evaluated), split="all", cache_dir=None, **bare)
    run_configs(BUNDLE, "inference", **common, output_dir=str(inferred))
    return inferred, evaluated


@pytest.mark.slow
def test_inference_and_evaluation_say_what_the_training_fitted(datalist, models, evidence, tmp_path):
    before, _ = predict_and_evaluate(datalist, models, tmp_path / "null", evidence=None)
    inferred, evaluated = predict_and_evaluate(datalist, models, tmp_path)
    studies = read_rows(inferred / "predictions.csv", ("study",))
    expected = read_rows(evaluated / "predictions.csv", ("study",))
    for place, plain in read_rows(before / "predictions.csv", ("study",)).items():
        row = studies[place]
        assert row == {column: expected[place][column] for column in row}
        assert (row["at_operating_point"], row["prediction_set"], row["note"]) == ("covid", "non_covid", "")
        assert plain["at_operating_point"] == plain["prediction_set"] == "not fitted"
        values = [tempered(np.array([float(one[name]) for name in NAMES]), t) for one, t in ((plain, 3.0), (row, 1.0))]
        assert values[0] == pytest.approx(values[1], abs=1e-5)
    content = json.loads((inferred / "predictions.json").read_text())
    assert content["evidence"] == {"applied": True, **evidence}
    measured = json.loads((evaluated / "metrics.json").read_text())
    assert measured["evidence"] == content["evidence"]
    assert measured["evidence_measured"]["set_sizes"] == [0, 2, 0]
    assert measured["evidence_measured"]["classes"]["covid"]["sensitivity"] == "too few (n = 1)"


def test_a_server_says_the_probabilities_that_inference_writes(models, evidence, tmp_path):
    """In the order in which MONAI Label calls the parts of the config, with one study at a time."""
    image = make_phantom("lung_ct", tmp_path / "image", 0)
    places = {"dataset_dir": str(image), "ckpt_dir": str(models)}
    run_configs(BUNDLE, "inference", **places, output_dir=str(tmp_path))
    bundle = Bundle(BUNDLE, places)
    network = read_settings(models / "model.pt").load_network()
    item = bundle.parsed("preprocessing", "inference")({"image": str(image)})
    with torch.no_grad():
        logits = bundle.parsed("inferer", "inference")(item["image"][None], network)
    reply = bundle.parsed("post_transforms", "inference")({**item, "pred": logits[0]})["pred"]
    (row,) = read_rows(tmp_path / "predictions.csv", ("study",)).values()
    assert reply.numpy() == pytest.approx([float(row[name]) for name in NAMES], abs=1e-5)
    assert logits.softmax(1)[0].numpy() != pytest.approx(reply.numpy(), abs=1e-3)


def test_with_another_aggregation_nothing_that_was_fitted_is_used_and_this_is_said(
    datalist, models, evidence, tmp_path
):
    run_configs(
        BUNDLE, "inference", dataset_dir=str(datalist), ckpt_dir=str(models), output_dir=str(tmp_path), aggregate="max"
    )
    said = {"applied": False, "reason": "fitted for the aggregation mean, but it is max here"}
    assert json.loads((tmp_path / "predictions.json").read_text())["evidence"] == said
    rows = read_rows(tmp_path / "predictions.csv", ("study",)).values()
    assert {row["prediction_set"] for row in rows} == {"not fitted"}


@pytest.fixture
def limited(models) -> None:
    """A novelty score of phantoms, as a training with enough images would have written it beside the network."""
    transforms = Compose(read_settings(models / "model.pt").create_transforms())
    described = []
    for seed in range(40):
        image = make_phantom("lung_ct", models.parent / f"known{seed}", seed)
        slices = transforms({"image": str(image)})["image"]
        described.append(describe_slices(np.moveaxis(np.asarray(slices), 1, 0)))
    training = np.concatenate(described[:20])
    validation = np.concatenate(described[20:])
    studies = np.arange(20).repeat([len(one) for one in described[20:]])
    file = models / "model.yaml"
    content = yaml.safe_load(file.read_text())
    fitted = {
        "aggregation": {"method": "mean", "k": 5},
        "temperature": {"value": 1.0, "n": 20},
        "operating_points": {"reason": "operating_point is null"},
        "prediction_sets": {"reason": "prediction_set is null"},
        "novelty": fit_novelty(training, validation, studies, [None] * 20),
    }
    file.write_text(yaml.safe_dump(content | {"evidence": fitted}))


@pytest.mark.usefixtures("limited")
def test_a_spoiled_volume_is_said_to_be_unlike_the_training_and_has_no_class_if_this_is_wanted(models, tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    good = make_phantom("lung_ct", folder / "good", 100)
    spoiled = nibabel.load(good)
    noise = np.random.default_rng(0).normal(0, 400, spoiled.shape)
    (folder / "spoiled").mkdir()
    nibabel.save(nibabel.Nifti1Image(spoiled.get_fdata() + noise, spoiled.affine), folder / "spoiled" / "noise.nii.gz")
    common = {"dataset_dir": str(folder), "ckpt_dir": str(models)}
    run_configs(BUNDLE, "inference", **common, output_dir=str(tmp_path / "classes"))
    run_configs(BUNDLE, "inference", **common, output_dir=str(tmp_path / "abstaining"), abstain=True)
    rows = read_rows(tmp_path / "classes" / "predictions.csv", ("unlike_training",))
    assert rows.keys() == {("false",), ("true",)}
    unlike = rows["true",]
    assert "noise.nii.gz" in unlike["study"]
    assert unlike["note"].startswith(f"unlike the training images: score {unlike['novelty']}, limit ")
    abstaining = read_rows(tmp_path / "abstaining" / "predictions.csv", ("unlike_training",))
    assert (unlike["predicted"] in NAMES, abstaining["true",]["predicted"]) == (True, "")
    assert abstaining["false",] == rows["false",]
    record = json.loads((tmp_path / "classes" / "predictions.json").read_text())
    assert record["unlike_training"] == {"studies": 1, "of": 2}
    assert "center" not in record["evidence"]["novelty"]


@pytest.mark.slow
def test_a_study_of_several_images_is_predicted_as_it_was_evaluated(datalist, models, tmp_path):
    inferred, evaluated = predict_and_evaluate(datalist, models, tmp_path)
    for name, key in (("predictions.csv", ("study",)), ("slice_predictions.csv", ("study", "slice"))):
        expected = read_rows(evaluated / name, key)
        rows = read_rows(inferred / name, key)
        assert rows.keys() == expected.keys()
        for place, row in rows.items():
            assert row == {column: expected[place][column] for column in row}
    studies = read_rows(inferred / "predictions.csv", ("study",))
    slices = read_rows(inferred / "slice_predictions.csv", ("study", "slice"))
    count = int(studies["S1",]["slices"])
    assert len(studies) == 2
    assert [index for study, index in slices if study == "S1"] == [str(index) for index in range(count)]
