"""Networks that are made for one image size, trained, used, exported and packed at another than timm's."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
import onnxruntime
import pytest
import timm
import torch
import yaml
from monai.bundle import ConfigParser

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.errors import cause_of
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.commands.create.create import create_bundle
from dwskd_monai.commands.export.export import TOLERANCE, export_network
from dwskd_monai.commands.export.studies import comparison_slices
from dwskd_monai.commands.pack.command import pack
from dwskd_monai.commands.pack.unpack import unpack
from tests.bundles.commands import as_options, config, run_here
from tests.conftest import BUNDLE
from tests.networks import TINY_FIXED, wider

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("image size")]

VIT, SWIN = "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"
SIZES = {VIT: 48, SWIN: 60}
QUICK = {"num_workers": 0, "max_epochs": 2, "min_steps": 0, "warmup_epochs": 0, "ramp_up_epochs": 0}


def under(key: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {f"{key}#{name}": value for name, value in arguments.items()}


class Trained:
    """A bundle whose student was selected from a teacher of timm's size and trained at another.

    Args:
        name: of teacher and student, both tiny.
        data: phantoms.
        folder: of the bundle and all that is written.
    """

    def __init__(self, name: str, data: Path, folder: Path) -> None:
        self.name = name
        self.size = SIZES[name]
        self.data = data
        self.folder = folder
        self.bundle = folder / BUNDLE.name
        pair = {"teacher": name, "student": name, "image_size": self.size}
        create_bundle(self.bundle, None, "chest_xray", Bundle(BUNDLE).class_names, pair)
        self.large = wider(TINY_FIXED[name])
        torch.save(timm.create_model(name, **self.large).state_dict(), folder / "teacher.pt")
        self.train(folder / "teacher.pt")

    def train(self, teacher: Path, **settings: Any) -> None:
        networks = under("network_def", TINY_FIXED[self.name]) | under("teacher_def", self.large)
        self.run("train", dataset_dir=self.data, teacher_weights=teacher, **QUICK | networks | settings)

    def run(self, *names: str, **settings: Any) -> None:
        run_here(
            *("run", "--config_file", config(*names, bundle=self.bundle), "--device", "cpu"),
            *as_options({key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}),
        )

    def metrics(self, name: str) -> dict[str, Any]:
        return json.loads((self.bundle / "eval" / name / "metrics.json").read_text())


@pytest.fixture(scope="module", params=SIZES)
def trained(request, phantoms, tmp_path_factory) -> Trained:
    torch.manual_seed(0)
    return Trained(request.param, phantoms, tmp_path_factory.mktemp("trained"))


def test_the_settings_hold_a_plain_network_of_timm(trained):
    content = yaml.safe_load((trained.bundle / "models" / "model.yaml").read_text())["settings"]
    network = content["network_def"]
    assert network.pop("_target_") == "timm.create_model"
    assert network["img_size"] == content["image_size"] == trained.size
    weights = torch.load(trained.bundle / "models" / "model.pt", weights_only=True)
    timm.create_model(**network).load_state_dict(weights)


def test_evaluation_and_inference_need_not_be_told(trained):
    trained.run("train", "evaluate", dataset_dir=trained.data, num_workers=0, explained=1)
    trained.run("inference", dataset_dir=trained.data / "test", num_workers=0)
    rows = (trained.bundle / "eval" / "test" / "predictions.csv").read_text().splitlines()
    without_labels = sorted(",".join([row.split(",")[0], *row.split(",")[2:]]) for row in rows)
    predictions = (trained.bundle / "eval" / "inference" / "predictions.csv").read_text()
    assert without_labels == sorted(predictions.splitlines())


def test_both_students_are_evaluated_together(trained):
    trained.run("train", "evaluate", "combine_students", dataset_dir=trained.data, num_workers=0, explained=1)
    assert trained.metrics("test_ensemble")["study"]["overall"]["count"] == 15
    page = (trained.bundle / "eval" / "test_ensemble" / "report.html").read_text()
    assert "the mean of two as they were at the end of the training" in page


@pytest.mark.parametrize("form", ["onnx_network", "torchscript"])
def test_an_exported_network_takes_the_size(trained, form, tmp_path):
    bundle = Bundle(trained.bundle)
    exported = export_network(TrainedBundle(bundle), form, comparison_slices(bundle), tmp_path / "model")
    assert exported.difference <= TOLERANCE


def test_a_packed_network_is_made_by_timm_alone(trained, tmp_path):
    pack(str(trained.bundle), str(tmp_path / "x.zip"), num_workers=0)
    unpacked = unpack(tmp_path / "x.zip", tmp_path)
    for suffix in ("json", "yaml"):
        parser = ConfigParser()
        parser.read_config(unpacked / "configs" / f"inference.{suffix}")
        definition = parser["network_def"]
        assert (definition["_target_"], definition["img_size"]) == ("timm.create_model", trained.size)
        network = parser.get_parsed_content("network_def")
        network.load_state_dict(torch.load(unpacked / "models" / "model.pt", weights_only=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's own
        loaded = monai.bundle.load(trained.bundle.name, bundle_dir=tmp_path, device="cpu").eval()
    metadata = json.loads((unpacked / "configs" / "metadata.json").read_text())
    shape = metadata["network_data_format"]["inputs"]["image"]["spatial_shape"]
    assert loaded(torch.zeros(1, 1, *shape)).shape == (1, 3)


def test_monais_own_commands_take_the_size_of_the_bundle(trained, tmp_path):
    configs = trained.bundle / "configs"
    files = {"config_file": str(configs / "inference.yaml"), "meta_file": str(configs / "metadata.json")}
    weights = str(trained.bundle / "models" / "model.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's and torch's own
        monai.bundle.verify_net_in_out("network_def", **files, device="cpu")
        for command, file in ((monai.bundle.ckpt_export, "model.ts"), (monai.bundle.onnx_export, "model.onnx")):
            command("network_def", filepath=str(tmp_path / file), ckpt_file=weights, **files)
        scripted = torch.jit.load(tmp_path / "model.ts")
    image = np.random.default_rng(0).random((1, 1, trained.size, trained.size), dtype=np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (result,) = session.run(None, {session.get_inputs()[0].name: image})
    network = TrainedBundle(Bundle(trained.bundle)).network
    with torch.no_grad():
        expected = network(torch.from_numpy(image))
        torch.testing.assert_close(scripted(torch.from_numpy(image)), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result, expected.numpy(), rtol=1e-3, atol=1e-4)


def test_a_teacher_is_fine_tuned_at_the_size_and_its_file_serves_students_of_another(trained, tmp_path):
    places = {"ckpt_dir": tmp_path, "output_dir": tmp_path / "eval"}
    large = under("network_def", trained.large) | under("first_weights", trained.large)
    trained.run(
        "train", "train_teacher", dataset_dir=trained.data, teacher=trained.name, image_size=trained.size,
        teacher_weights=trained.folder / "teacher.pt", **QUICK, **large, **places,
    )  # fmt: skip
    trained.run("train", "train_teacher", "evaluate", dataset_dir=trained.data, num_workers=0, report=False, **places)
    assert json.loads((tmp_path / "eval" / "metrics.json").read_text())["study"]["overall"]["count"] == 15
    trained.train(tmp_path / "teacher.pt", image_size=96, max_epochs=1, **places)
    settings = yaml.safe_load((tmp_path / "model.yaml").read_text())["settings"]
    assert settings["network_def"]["img_size"] == 96


@pytest.mark.parametrize("names", [("train",), ("train", "train_teacher")])
def test_a_size_that_does_not_fit_stops_before_an_image_is_looked_for(trained, names, tmp_path):
    settings = {"teacher": trained.name, "student": trained.name, "teacher_weights": "random", "image_size": 50}
    with pytest.raises(Exception) as caught:  # noqa: PT011  the message is what is tested
        trained.run(*names, dataset_dir=tmp_path / "nowhere", output_dir=tmp_path, **settings)
    step, nearest = {VIT: (16, "48 and 64"), SWIN: (4, "48 and 52")}[trained.name]
    expected = f"image_size: {trained.name} needs a multiple of {step}, got 50; the nearest are {nearest}"
    assert str(cause_of(caught.value)) == expected
