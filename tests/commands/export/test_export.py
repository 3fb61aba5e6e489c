"""A bundle's network in other formats: the same logits for any batch, and what the file says of itself."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import onnx
import onnxruntime
import pytest
import timm
import torch
from monai.data.torchscript_utils import load_net_with_metadata

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.cli import main
from dwskd_monai.commands.export.command import shown_cost
from dwskd_monai.commands.export.export import Exported, ParityError, export_network
from dwskd_monai.commands.export.formats import FORMATS
from dwskd_monai.commands.export.studies import comparison_slices
from dwskd_monai.evaluation.exported import READERS, network_in
from tests.bundles.commands import SMALL_SETTINGS, save_network
from tests.conftest import BUNDLE, BUNDLES, tiny_convnext, tiny_vit
from tests.networks import TINY_FIXED

pytestmark = pytest.mark.slow

SMALL_VIT = {
    "student": "vit_tiny_patch16_224",
    "network_def#embed_dim": 32,
    "network_def#num_heads": 2,
    "network_def#depth": 2,
    "network_def#img_size": 32,
    "network_def#patch_size": 8,
    "image_size": 32,
}


def export(bundle: Path, form: str, out: Path | None = None, *, models: Path) -> Exported:
    trained = TrainedBundle(Bundle(bundle, {"ckpt_dir": str(models)}))
    return export_network(trained, form, comparison_slices(trained.bundle), out)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    return save_network(tiny_convnext(), tmp_path_factory.mktemp("models"), **SMALL_SETTINGS)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("family", ["convnext", "vit"])
def test_the_file_gives_the_logits_of_the_network_for_any_batch(tmp_path, form, family):
    network = (tiny_convnext() if family == "convnext" else tiny_vit()).eval()
    settings = SMALL_SETTINGS if family == "convnext" else SMALL_VIT
    folder = save_network(network, tmp_path / "models", **settings)
    result = export(BUNDLE, form, models=folder)
    assert result.file == folder / f"{FORMATS[form].name}{FORMATS[form].suffix}"
    assert result.difference <= 1e-4
    run = FORMATS[form].read(result.file)
    for count in (1, 3, 7):
        images = torch.randn(count, 1, 32, 32)
        with torch.inference_mode():
            torch.testing.assert_close(run(images), network(images), atol=1e-4, rtol=0)


@pytest.mark.parametrize("form", FORMATS)
def test_attention_with_relative_positions_is_exported(tmp_path, form):
    network = timm.create_model("beit_base_patch16_224", img_size=48, **TINY_FIXED["beit_base_patch16_224"]).eval()
    file = tmp_path / f"network{FORMATS[form].suffix}"
    FORMATS[form].write(network, torch.randn(2, 3, 48, 48), file, {})
    images = torch.randn(5, 3, 48, 48)
    with torch.inference_mode():
        torch.testing.assert_close(FORMATS[form].read(file)(images), network(images), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("bundle", "form"), [*((BUNDLE, form) for form in FORMATS), *((bundle, "onnx_network") for bundle in BUNDLES[1:])]
)
def test_the_file_says_what_it_expects_and_gives(tmp_path, form, bundle):
    pred = json.loads((bundle / "configs" / "metadata.json").read_text())["network_data_format"]["outputs"]["pred"]
    network = tiny_convnext(num_classes=pred["num_channels"])
    folder = save_network(network, tmp_path, bundle, **SMALL_SETTINGS, intensity_mean=0.25)
    result = export(bundle, form, models=folder)
    described = FORMATS[form].describe(result.file)
    assert json.loads(described["weights_sha256"]) == hashlib.sha256((folder / "model.pt").read_bytes()).hexdigest()
    assert json.loads(described["classes"]) == list(pred["channel_def"].values())
    assert json.loads(described["input"])["shape"] == ["batch", 1, 32, 32]
    constants = json.loads(described["preprocessing"])
    assert (constants["image_size"], constants["intensity_mean"], constants["intensity_std"]) == (32, 0.25, 0.226)
    assert "windows" in constants if bundle.name.startswith("lung") else "lower" in constants["intensity"]


def test_others_read_the_descriptions_with_their_own_tools(models, tmp_path):
    onnx_file = export(BUNDLE, "onnx_network", tmp_path / "x.onnx", models=models).file
    properties = {prop.key: prop.value for prop in onnx.load(onnx_file).metadata_props}
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == properties
    assert [value.name for value in (*session.get_inputs(), *session.get_outputs())] == ["image", "logits"]
    script = export(BUNDLE, "torchscript", tmp_path / "x.ts", models=models).file
    metadata = load_net_with_metadata(str(script))[1]
    assert metadata["classes"] == ["covid19", "no_findings", "pneumonia"]
    assert "probabilities of slices, not calibrated" in metadata["output"]["then"]
    assert metadata["evidence"] == {}, "these weights were not trained by a bundle"


def test_int8_is_measured_on_labeled_images(models, phantoms, tmp_path, capsys):
    options = {"num_workers": 0, "ckpt_dir": models, "out": tmp_path / "x.onnx", "dataset_dir": phantoms, "int8": True}
    options |= {"cache_dir": tmp_path / "cache", "split": "all"}
    main(["export", str(BUNDLE), *(f"--{key}={value}" for key, value in options.items())])
    printed = capsys.readouterr().out
    for name in ("float32", "int8"):
        measured = rf"^{name}: accuracy [\d.]+, balanced accuracy [\d.]+, macro AUC [\d.]+"
        assert re.search(measured, printed, re.MULTILINE)
    number = r"[+-]\d\.\d{4}"
    cost = re.search(
        rf"^int8 less float32, accuracy: ({number}) \({number} to {number}; n = 60\)", printed, re.MULTILINE
    )
    float32, int8 = (
        float(re.search(rf"^{name}: accuracy ([\d.]+)", printed, re.MULTILINE)[1]) for name in ("float32", "int8")
    )
    assert float(cost[1]) == pytest.approx(int8 - float32, abs=1e-3)
    assert printed.splitlines()[-1] == str(tmp_path / "x.onnx")
    assert list((tmp_path / "cache").rglob("*.safetensors")), "a training before would have left them"
    model = onnx.load(tmp_path / "x.onnx")
    network = network_in(model, tmp_path / "x.onnx")
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in network.graph.node}
    assert {prop.key for prop in model.metadata_props} >= {"classes", "preprocessing", "quantization"}


def test_a_difference_without_an_interval_says_why():
    same = {"value": 0.0, "low": None, "high": None, "n": 57, "reason": "no interval: all resamples agree"}
    assert shown_cost(same) == "+0.0000 (no interval: all resamples agree; n = 57)"
    assert shown_cost("too few (n = 7)") == "too few (n = 7)"


def test_a_bundle_without_a_synthetic_study_asks_for_images(models, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(BUNDLE / "configs", own / "configs")
    with pytest.raises(ValueError, match=r"^own: give labeled images, on which .* --dataset_dir DIR\. Without it"):
        export(own, "torchscript", tmp_path / "x.ts", models=models)


def test_a_file_that_gives_something_else_is_not_written(models, tmp_path, monkeypatch):
    read = READERS[".ts"]
    monkeypatch.setitem(READERS, ".ts", lambda path: lambda images: read(path)(images) + 2e-4)
    (tmp_path / "x.ts").write_text("of an earlier run")
    with pytest.raises(ParityError, match=r"differ by up to 0.0002 from PyTorch's on 2 images, more than 0.0001"):
        export(BUNDLE, "torchscript", tmp_path / "x.ts", models=models)
    assert (tmp_path / "x.ts").read_text() == "of an earlier run"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "tflite"}, "format must be one of onnx, onnx_network, torchscript, exported_program; got 'tflite'"),
        ({"int8": True}, "int8 needs --format onnx, and --dataset_dir with labeled images"),
        ({"bundle": "nowhere"}, "nowhere has no configs/metadata.json; give the folder of a bundle"),
        ({"ckpt_dir": "nowhere"}, "model.pt does not exist; train the bundle first, or give the file: --checkpoint"),
        ({"image_size": 64}, "model.pt was trained with 32, got 64; leave image_size out"),
        ({"studnet": "x"}, "studnet is not an option of export, nor a setting of"),
        ({"dataset_dir": "nowhere"}, "dataset_dir: nowhere does not exist"),
    ],
)
def test_what_cannot_be_exported_is_named(models, tmp_path, capsys, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    options = {"bundle": BUNDLE, "ckpt_dir": models, "out": tmp_path / "x.onnx"} | changes
    with pytest.raises(SystemExit):
        main(["export", *(f"--{key}={value}" for key, value in options.items())])
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_named(models, tmp_path, monkeypatch):
    monkeypatch.setattr("dwskd_monai.evaluation.exported.optional_import", lambda name: (None, name != "onnx"))
    with pytest.raises(ValueError, match=r"onnx is not installed; pip install 'dwskd_monai\[export\]'"):
        export(BUNDLE, "onnx_network", tmp_path / "x.onnx", models=models)
