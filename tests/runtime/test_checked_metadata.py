"""A classifier that is damaged, or that this code would read in another way, is refused and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from dwskd_monai.preprocessing import PREPROCESSING_VERSION
from dwskd_monai.runtime.checked_metadata import DIGEST
from dwskd_monai.runtime.classifier import Classifier
from dwskd_monai.runtime.command import main
from tests.reading.dicom_files import write
from tests.runtime.made import changed, make_classifier


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("description")
    return make_classifier(folder / "models", write(folder / "xray.dcm"), fitted=False)


def reading(model: Path, **values: Any) -> dict[str, Any]:
    return Classifier(model).metadata["reading"] | values


def test_a_changed_bit_is_noticed(model, tmp_path):
    content = model.read_bytes()
    damaged = tmp_path / "damaged.onnx"
    weight = content.index(np.float32([0.2, -0.4]).tobytes())
    digest = content.index(DIGEST.encode()) + len(DIGEST) + 5
    for place in (weight, digest):
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        onnxruntime.InferenceSession(damaged)  # which notices nothing
        with pytest.raises(ValueError, match=r"damaged.onnx: damaged, or changed after its export; copy it again"):
            Classifier(damaged)
    damaged.write_bytes(content)
    assert Classifier(damaged).metadata == Classifier(model).metadata


def test_a_file_says_its_own_digest_while_another_takes_its_place(model, tmp_path):
    path = changed(model, tmp_path / "model.onnx")
    classifier = Classifier(path)
    changed(model, path, version="9.9.9")
    assert classifier.sha256 != Classifier(path).sha256


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"format": 2}, "a classifier of format 2, expected 1; use the dwskd_monai that exported it"),
        ({"evidence": None, "planes": None}, "its metadata have no evidence, planes; expected one that dwskd export"),
        ({"reading": None}, "an ONNX model of another kind; expected one that dwskd export"),
        ({"content_sha256": None}, "it has no digest, so an earlier version exported it; export it again"),
    ],
)
def test_what_it_says_must_be_understood(model, tmp_path, capsys, properties, expected):
    path = changed(model, tmp_path / "model.onnx", **properties)
    assert main([str(path), str(tmp_path), "--out", str(tmp_path / "out")], name="classify") == 2
    assert capsys.readouterr().err.startswith(f"classify: {path}: {expected}")


def test_metadata_that_are_no_json_are_refused(model, tmp_path):
    content = onnx.load(model)
    said = {prop.key: prop.value for prop in content.metadata_props} | {"classes": "[oops"}
    onnx.helper.set_model_props(content, said)
    onnx.save(content, tmp_path / "model.onnx")
    with pytest.raises(ValueError, match=r"model.onnx: its metadata cannot be read \(Expecting value"):
        Classifier(tmp_path / "model.onnx")


def test_its_images_must_be_prepared_as_for_the_training(model, tmp_path):
    path = tmp_path / "model.onnx"
    file = changed(model, path, reading=reading(model, preprocessing_version=PREPROCESSING_VERSION + 1))
    with pytest.raises(ValueError, match=rf"expects images of preprocessing version {PREPROCESSING_VERSION + 1}, but"):
        Classifier(file)
    Classifier(changed(model, path, reading=reading(model, preprocessing_version=PREPROCESSING_VERSION)))
