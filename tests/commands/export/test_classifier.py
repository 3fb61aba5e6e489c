"""A classifier in one ONNX file says of files what the bundle's inference says of them."""

from __future__ import annotations

import csv
import functools
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pydicom
import pytest
import torch
from PIL import Image

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.settings_file import digest_of, read_settings, settings_beside, write_settings
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.commands.export.classifier import export_classifier, prepared_images, slices_of
from dwskd_monai.commands.export.export import ParityError
from dwskd_monai.evaluation.evidence import tempered
from dwskd_monai.reading import RefusedImage
from dwskd_monai.runtime.classifier import Answer, Classifier
from dwskd_monai.runtime.command import main
from tests.bundles.commands import SMALL_SETTINGS, save_network
from tests.conftest import BUNDLES, on_volumes, tiny_convnext
from tests.evaluation.workflows import run_configs
from tests.reading.dicom_files import write
from tests.runtime.made import evidence

pytestmark = [pytest.mark.slow, on_volumes]

# Chosen so that each way through the graph is taken
SETTINGS: dict[str, dict[str, Any]] = {
    "chest_xray": {"keep_aspect": True},
    "lung_ct": {"aggregate": "top_k", "top_k": 3, "picture_range": [0, 255]},
    "brain_mri": {"aggregate": "max"},
}


@dataclass(frozen=True)
class Made:
    """A bundle's classifier, and what its inference says of the same images."""

    trained: TrainedBundle
    file: Path
    classifier: Classifier
    studies: list[dict[str, str]]
    slices: list[dict[str, str]]
    images: Path

    def answers(self) -> dict[str, Answer]:
        return {row["study"]: self.classifier.predict(row["study"]) for row in self.studies}


def made(modality: str, images: Path, folder: Path) -> Made:
    bundle = BUNDLES[["chest_xray", "lung_ct", "brain_mri"].index(modality)]
    classes = Bundle(bundle).class_names
    torch.manual_seed(0)
    network = tiny_convnext(num_classes=len(classes), ls_init_value=1.0)
    models = save_network(network, folder / "models", bundle, **SMALL_SETTINGS, **SETTINGS[modality])
    weights = models / "model.pt"
    settings = read_settings(weights)
    write_settings(settings_beside(weights), weights, settings, classes, {}, evidence(settings, classes))
    run_configs(
        *(bundle, "inference"),
        dataset_dir=str(images),
        ckpt_dir=str(models),
        output_dir=str(folder / "out"),
        strict=True,
    )
    trained = TrainedBundle(Bundle(bundle, {"ckpt_dir": str(models)}))
    items = [{"image": row["study"]} for row in rows(folder / "out" / "predictions.csv")]
    result = export_classifier(trained, prepared_images(trained, items[::-1]))
    assert (result.file, result.of) == (models / "model.onnx", "probability")
    assert result.difference <= 1e-4
    slices = folder / "out" / "slice_predictions.csv"
    return Made(
        *(trained, result.file, Classifier(result.file), rows(folder / "out" / "predictions.csv")),
        rows(slices) if slices.is_file() else [],
        images,
    )


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


@pytest.fixture(scope="module")
def classifier_of(phantoms, volume_phantoms, tmp_path_factory) -> Callable[[str], Made]:
    """From a modality to its classifier, which is made once."""

    @functools.cache
    def get(modality: str) -> Made:
        source = phantoms if modality == "chest_xray" else volume_phantoms(modality)
        return made(modality, source / "test", tmp_path_factory.mktemp(modality))

    return get


@pytest.fixture(params=SETTINGS)
def each(request, classifier_of) -> Made:
    return classifier_of(request.param)


@pytest.fixture
def chest(classifier_of) -> Made:
    return classifier_of("chest_xray")


def test_it_says_of_files_what_the_inference_of_the_bundle_says(each):
    classes = each.trained.settings.class_names
    answers = each.answers()
    assert len(answers) >= 5
    for row in each.studies:
        answer = answers[row["study"]]
        expected = [float(row[name]) for name in classes]
        np.testing.assert_allclose(answer.probabilities, expected, atol=1e-4)
        assert "|".join(answer.at_operating_point) == row["at_operating_point"]
        assert "|".join(answer.prediction_set) == row["prediction_set"]
        assert answer.novelty == pytest.approx(float(row["novelty"]), rel=1e-3, abs=0.006)
    for row in each.slices:
        expected = [float(row[name]) for name in classes]
        np.testing.assert_allclose(answers[row["study"]].slices[int(row["slice"])], expected, atol=1e-4)
    assert len({row["prediction_set"] for row in each.studies}) > 1, "or the thresholds would not matter"


def test_the_file_says_what_it_is_and_how_it_is_used(each):
    described = each.classifier.metadata
    settings = each.trained.settings
    assert described["weights_sha256"] == digest_of(each.trained.weights)
    assert described["classes"] == settings.class_names
    assert described["settings"] == json.loads(json.dumps(dict(settings)))
    assert described["operating_points"]["classes"] == settings.evidence["operating_points"]["classes"]
    assert described["license"].startswith("Apache License Version 2.0")
    assert described["intended_use"].startswith("Research only.")
    assert described["reading"]["expectation"]["expected"] == settings["expected"]
    names = [value.name for value in onnx.load(each.file).graph.input]
    assert [value["name"] for value in described["inputs"]] == names
    assert described["inputs"][0] | {"meaning": ""} == {
        "name": "pixels", "shape": ["slices", "rows", "columns"], "dtype": "float32", "meaning": "",
    }  # fmt: skip
    assert {"probabilities", "prediction_set", "novelty"} <= {value["name"] for value in described["outputs"]}


def test_the_runtime_writes_the_files_of_the_inference(each, tmp_path):
    source = each.trained.weights.parents[1] / "out"
    assert main([str(each.images), "--out", str(tmp_path)], each.file) == 0
    assert rows(tmp_path / "predictions.csv") == [approximately(row) for row in each.studies]
    slices = rows(tmp_path / "slice_predictions.csv") if each.slices else []
    assert slices == [approximately(row) for row in each.slices]
    expected, got = (json.loads((folder / "predictions.json").read_text()) for folder in (source, tmp_path))
    assert got == expected
    assert not (tmp_path / "refused.csv").exists()


def approximately(row: dict[str, str]) -> dict[str, Any]:
    """A row whose numbers may differ by 0.0001, and novelty scores by a hundredth."""
    return {
        name: Near(float(value), 0.011 if name == "novelty" else 1e-4) if re.fullmatch(r"\d+\.\d+", value) else value
        for name, value in row.items()
    }


class Near(float):
    """Equal to the text of a number that is as near."""

    def __new__(cls, value: float, tolerance: float) -> Near:
        near = super().__new__(cls, value)
        near.tolerance = tolerance
        return near

    def __eq__(self, other: object) -> bool:
        return abs(self - float(str(other))) <= self.tolerance

    __hash__ = float.__hash__


def test_images_that_the_runtime_cannot_use_are_listed_and_the_exit_code_tells(chest, tmp_path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    shutil.copy(next(chest.images.rglob("*.png")), images / "a.png")
    (images / "b.png").write_text("no picture")
    write(images / "c.dcm", Modality="MR")
    assert main([str(images), "--out", str(tmp_path / "out")], chest.file) == 3
    assert [Path(row["study"]).name for row in rows(tmp_path / "out" / "predictions.csv")] == ["a.png"]
    refused = [(Path(row["path"]).name, row["kind"]) for row in rows(tmp_path / "out" / "refused.csv")]
    assert refused == [("b.png", "format"), ("c.dcm", "unexpected")]
    assert "2 images were refused (1 format, 1 unexpected), all others were used" in capsys.readouterr().err
    accepting = ["--accept", "['modality=MR']"]  # as the message in refused.csv has it
    assert main([str(images), "--out", str(tmp_path / "accepting"), *accepting], chest.file) == 3
    assert len(rows(tmp_path / "accepting" / "predictions.csv")) == 2
    assert json.loads((tmp_path / "accepting" / "predictions.json").read_text())["accepted"] == ["modality=MR"]
    assert main([str(images), "--out", str(tmp_path / "out"), "--strict"], chest.file) == 2
    assert "b.png: not an image" in capsys.readouterr().err


def test_images_of_one_study_are_one_prediction_or_none(chest, tmp_path):
    first, second = sorted(chest.images.rglob("*.png"))[:2]
    (tmp_path / "broken.png").write_text("no picture")
    lines = ["image,study", f"{first},A", f"{second},A", f"{first},B", "broken.png,B"]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    assert main([str(tmp_path / "list.csv"), "--out", str(tmp_path / "out")], chest.file) == 3
    (row,) = rows(tmp_path / "out" / "predictions.csv")
    assert (row["study"], row["slices"]) == ("A", "2")
    slices = np.concatenate([chest.classifier.predict(path).slices for path in (first, second)])
    expected = tempered(slices.astype(float).mean(0), 0.7)
    values = [float(row[name]) for name in chest.trained.settings.class_names]
    np.testing.assert_allclose(values, expected, atol=1e-5)
    assert [row["kind"] for row in rows(tmp_path / "out" / "refused.csv")] == ["study", "format"]


def test_stored_numbers_and_a_header_are_enough(chest, tmp_path):
    """MONOCHROME1 with a slope, as a program that only knows DICOM would give it."""
    stored = np.random.default_rng(0).integers(0, 4096, (70, 50)).astype(np.uint16)
    stored[20:40, 10:20] //= 4
    header = {"RescaleSlope": "2.5", "RescaleIntercept": "-100", "PixelSpacing": "0.2\\0.3"}
    file = write(tmp_path / "x.dcm", stored, inverted=True, **header)
    expected = chest.classifier.predict(file)
    answer = chest.classifier.run({
        "pixels": pydicom.dcmread(file).pixel_array[None].astype(np.float32),
        "slope": np.array([2.5], np.float32),
        "intercept": np.array([-100], np.float32),
        "inverted": np.array(True),
        "spacing": np.array([0.2, 0.3]),
        "padding": np.array(0, np.float32),
    })  # fmt: skip
    np.testing.assert_allclose(answer.probabilities, expected.probabilities, atol=1e-5)
    assert answer.novelty == pytest.approx(expected.novelty, rel=1e-4)


def test_an_image_of_another_kind_is_refused_by_name(chest, tmp_path):
    file = write(tmp_path / "x.dcm", Modality="MR")
    with pytest.raises(RefusedImage, match=r"x.dcm: modality is MR; expected CR or DX"):
        chest.classifier.predict(file)


def test_a_file_that_says_something_else_is_not_written(chest, tmp_path):
    out = tmp_path / "model.onnx"
    out.write_text("of an earlier run")
    images = prepared_images(chest.trained, [{"image": row["study"]} for row in chest.studies])
    images[0].slices[:] += 0.1  # as if the bundle prepared the image in another way
    with pytest.raises(
        ParityError, match=rf"probabilities differ by up to .* from the bundle's for {images[0].path}, mo"
    ):
        export_classifier(chest.trained, images, out)
    assert out.read_text() == "of an earlier run"


def test_one_slice_is_enough_to_compare(chest):
    images = prepared_images(chest.trained, [{"image": chest.studies[0]["study"]}])
    assert [len(image.slices) for image in images] == [1]
    assert len(slices_of(images)) == 2, "so that the number of slices may become free"


@pytest.mark.parametrize("content", ["", "not a network"])
def test_a_file_that_is_not_a_classifier_is_named(chest, tmp_path, content):
    file = tmp_path / "x.onnx"
    with pytest.raises(FileNotFoundError, match=r"x.onnx does not exist; expected one that dwskd export"):
        Classifier(file)
    file.write_text(content)
    with pytest.raises(ValueError, match=r"x.onnx: .*expected one that dwskd export BUNDLE --format onnx wrote"):
        Classifier(file)


def test_pictures_are_taken_if_the_training_says_which_values_are_black_and_white(classifier_of, tmp_path):
    lung = classifier_of("lung_ct")
    stored = np.random.default_rng(0).integers(0, 256, (40, 60)).astype(np.uint8)
    file = tmp_path / "x.png"
    Image.fromarray(stored).save(file)
    (image,) = prepared_images(lung.trained, [{"image": str(file)}])
    with torch.inference_mode():
        expected = lung.trained.network(image.slices).softmax(1)
    np.testing.assert_allclose(lung.classifier.predict(file).slices, expected.numpy(), atol=1e-5)
    Image.fromarray(stored.astype(np.uint16) * 200).save(file)
    with pytest.raises(RefusedImage, match=r"x.png: its pixels are .*, beyond picture_range \[0, 255\]"):
        lung.classifier.predict(file)
