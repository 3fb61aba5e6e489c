"""An exported network in place of the timm network: in a config, and evaluated as the network itself."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.settings_file import digest_of
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.commands.export.classifier import export_classifier, prepared_images
from dwskd_monai.commands.export.export import export_network
from dwskd_monai.commands.export.formats import FORMATS
from dwskd_monai.commands.export.studies import comparison_items, comparison_slices, evaluate
from dwskd_monai.evaluation.exported import DESCRIPTIONS, READERS, ExportedNetwork, weights_of
from tests.bundles.commands import SMALL_SETTINGS, save_network
from tests.conftest import BUNDLE, tiny_convnext
from tests.evaluation.workflows import run_configs
from tests.golden.golden import differences

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("exported")]  # in one process: exporting takes long


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A network as ``model.pt``, in each format, and as a part of a classifier, which is ``model.onnx``."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    network = tiny_convnext(ls_init_value=1.0)
    save_network(network, folder, **SMALL_SETTINGS)
    trained = TrainedBundle(Bundle(BUNDLE, {"ckpt_dir": str(folder)}))
    for form in FORMATS:
        export_network(trained, form, comparison_slices(trained.bundle))
    with comparison_items(trained.bundle) as items:
        export_classifier(trained, prepared_images(trained, items))
    return folder


def test_each_format_that_is_written_can_be_read():
    assert {kind.suffix for kind in FORMATS.values()} == set(READERS) == set(DESCRIPTIONS)


@pytest.mark.parametrize("file", ["model.onnx", "network.onnx", "model.ts", "model.pt2"])
def test_it_is_a_network_with_the_logits_of_the_one_it_was_made_from(models, file):
    network = tiny_convnext(ls_init_value=1.0).eval()
    network.load_state_dict(torch.load(models / "model.pt", weights_only=True))
    exported = ExportedNetwork(models / file).eval()
    assert list(exported.parameters()) == []
    images = torch.randn(3, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(exported(images), network(images), atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def measured(models, phantoms) -> dict[str, Any]:
    """What the evaluation of the network itself finds."""
    settings = {"dataset_dir": str(phantoms), "ckpt_dir": str(models), "cache_dir": str(models / "cache")}
    run_configs(BUNDLE, "train", "evaluate", **settings, output_dir=str(models / "network"))
    return json.loads((models / "network" / "metrics.json").read_text())


@pytest.mark.parametrize("suffix", READERS)
def test_it_is_evaluated_as_the_network_itself(models, measured, phantoms, tmp_path, suffix):
    settings = {"dataset_dir": str(phantoms), "ckpt_dir": str(models), "cache_dir": str(models / "cache")}
    file = models / f"model{suffix}"
    run_configs(
        *(BUNDLE, "train", "evaluate", "evaluate_exported"),
        **settings,
        output_dir=str(tmp_path / "exported"),
        exported=str(file),
    )
    expected, got = copy.deepcopy(measured), json.loads((tmp_path / "exported" / "metrics.json").read_text())
    assert got.pop("weights_sha256") is None, "not of model.pt itself"
    assert expected.pop("weights_sha256") == digest_of(models / "model.pt")
    explained, of_exported = (one["report"]["explanations"] for one in (expected, got))
    assert list(explained.pop("methods")) == ["occlusion", "Grad-CAM++"]
    assert list(of_exported.pop("methods")) == ["occlusion"], "a pixel more or less of a map changes its test"
    assert explained.pop("missing") == {}
    assert "not available for an exported network" in of_exported.pop("missing")["Grad-CAM++"]
    # the probabilities differ in their seventh digit, so a sixth one may be rounded otherwise
    assert not differences(expected, got, atol=2e-6)
    bundle = Bundle(BUNDLE, {"ckpt_dir": str(models), "cache_dir": str(models / "cache"), "num_workers": 0})
    assert evaluate(bundle, file, phantoms, "test").metrics == expected["study"]["overall"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("model.tflite", ValueError, r"exported: expected a file that ends in .onnx, .ts, .pt2, got .*model.tflite"),
        ("model.onnx", FileNotFoundError, r"exported: .*model.onnx does not exist; python -m dwskd_monai export"),
    ],
)
def test_a_file_that_cannot_be_run_is_named(tmp_path, name, error, message):
    with pytest.raises(error, match=message):
        ExportedNetwork(tmp_path / name)


def test_a_file_that_was_exported_from_other_weights_is_refused(models):
    file = models / "model.onnx"
    assert weights_of(file) == digest_of(models / "model.pt")
    ExportedNetwork(file, digest_of(models / "model.pt"))
    with pytest.raises(ValueError, match=r"model.onnx was not exported from the weights of the bundle; export it"):
        ExportedNetwork(file, "0" * 64)
