"""A classifier that is damaged, or that this code would read in another way, is refused and named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from dwskd_monai.preprocessing import PREPROCESSING_VERSION
from dwskd_monai.runtime.classifier import Classifier
from dwskd_monai.runtime.description import DIGEST
from tests.reading.dicom_files import write
from tests.runtime.made import make_classifier


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("description")
    return make_classifier(folder / "models", write(folder / "xray.dcm"), fitted=False)


@pytest.fixture
def changed(model, tmp_path) -> Callable[..., Path]:
    """The file of a classifier that says something else of itself, and nothing of its digest."""

    def change(**values: str | None) -> Path:
        content = onnx.load(model)
        said = {prop.key: prop.value for prop in content.metadata_props} | {DIGEST: None} | values
        onnx.helper.set_model_props(content, {name: value for name, value in said.items() if value is not None})
        onnx.save(content, tmp_path / "changed.onnx")
        return tmp_path / "changed.onnx"

    return change


def reading(model: Path, **values: Any) -> str:
    return json.dumps(Classifier(model).metadata["reading"] | values)


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


def test_a_file_without_a_digest_is_read(model, changed):
    assert Classifier(changed()).metadata == {
        name: value for name, value in Classifier(model).metadata.items() if name != DIGEST
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"format": "2"}, "a classifier of format 2, expected 1; use the dwskd_monai that exported it"),
        ({"evidence": None, "planes": None}, "its metadata have no evidence, planes; expected one that dwskd export"),
        ({"classes": "[oops"}, "its metadata cannot be read (Expecting value"),
    ],
)
def test_what_it_says_must_be_understood(changed, values, expected):
    file = changed(**values)
    with pytest.raises(ValueError, match=re.escape(f"{file}: {expected}")):
        Classifier(file)


def test_its_images_must_be_prepared_as_for_the_training(model, changed):
    file = changed(reading=reading(model, preprocessing_version=PREPROCESSING_VERSION + 1))
    with pytest.raises(ValueError, match=rf"expects images of preprocessing version {PREPROCESSING_VERSION + 1}, but"):
        Classifier(file)
    Classifier(changed(reading=reading(model, preprocessing_version=PREPROCESSING_VERSION)))
