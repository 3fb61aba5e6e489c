"""A training with ``deploy: both``, and all that uses its network afterwards, untold."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path

import monai.bundle
import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from monai.bundle import ConfigParser, ckpt_export, onnx_export, verify_net_in_out
from torch import Tensor, nn

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.cli import main
from dwskd_monai.commands.calibrate.training import RepeatedTraining
from dwskd_monai.commands.export.export import export_network
from dwskd_monai.commands.export.formats import FORMATS
from dwskd_monai.commands.pack.command import pack
from dwskd_monai.commands.pack.unpack import unpack
from tests.bundles.commands import SMALL, SMALL_TEACHER, config, run, run_in_two, start
from tests.commands.pack.test_pack import alone
from tests.conftest import BUNDLE, tiny_convnext

# one process for all, so that the training that they share is run once
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("both deployed")]

BOTH = ("--deploy", "both", "--distillation_weight", "0", "--teacher_weights", "random", *SMALL)
EPOCHS = ("--max_epochs", "3")


@pytest.fixture(scope="module")
def bundle(phantoms, tmp_path_factory) -> Path:
    """A copy of the bundle, after a training."""
    folder = tmp_path_factory.mktemp("both") / BUNDLE.name
    shutil.copytree(BUNDLE, folder, ignore=shutil.ignore_patterns("*.pt", "eval", "cache"))
    training = ("run", "training", "--config_file", config("train", bundle=folder), "--dataset_dir", phantoms)
    (folder.parent / "both").mkdir()  # as if a setting named a folder
    run(*training, *BOTH, *EPOCHS, cwd=folder.parent)
    return folder


def students(weights: Path) -> list[nn.Module]:
    """Both students of a file of weights, which has nothing else."""
    state = torch.load(weights, weights_only=True)
    networks = []
    for index in range(2):
        start = f"networks.{index}."
        network = tiny_convnext().eval()
        network.load_state_dict({key.removeprefix(start): state.pop(key) for key in [*state] if key.startswith(start)})
        networks.append(network)
    assert not state
    return networks


@torch.no_grad()
def mean_of_probabilities(weights: Path, images: Tensor) -> Tensor:
    main, auxiliary = (network(images).softmax(1) for network in students(weights))
    assert not torch.allclose(main, auxiliary, atol=1e-3), "else either of them would pass for the mean"
    return (main + auxiliary) / 2


def slices(bundle: Path, images: Path) -> Tensor:
    """The slices of images as the bundle's inference reads them."""
    dataset = Bundle(bundle).parsed("dataset", "inference", dataset_dir=str(images), refused=None)
    return torch.stack([item["image"] for item in dataset])


def predicted(folder: Path) -> list[list[float]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return [[float(value) for value in row[2:5]] for row in list(csv.reader(file))[1:]]


def test_the_settings_describe_a_student_and_say_that_both_are_deployed(bundle):
    settings = yaml.safe_load((bundle / "models" / "model.yaml").read_text())["settings"]
    assert settings["deploy"] == "both"
    assert settings["network_def"]["_target_"] == "timm.create_model"


def test_the_evaluation_measures_what_the_training_chose(bundle, phantoms, tmp_path):
    configs = config("train", "evaluate", bundle=bundle)
    options = ("--dataset_dir", phantoms, "--split", "validation", "--output_dir", tmp_path, "--num_workers", "0")
    run("run", "--config_file", configs, *options, cwd=tmp_path)
    best = yaml.safe_load((bundle / "models" / "model.yaml").read_text())["training"]["best"]
    overall = json.loads((tmp_path / "metrics.json").read_text())["study"]["overall"]
    assert overall["balanced_accuracy"] == pytest.approx(best["value"], abs=1e-9)


def test_predictions_are_the_mean_of_both_students_probabilities(bundle, phantoms, tmp_path):
    inference = config("inference", bundle=bundle)
    run("run", "--config_file", inference, "--dataset_dir", phantoms / "test", "--output_dir", tmp_path, cwd=tmp_path)
    images = slices(bundle, phantoms / "test")
    expected = mean_of_probabilities(bundle / "models" / "model.pt", images)
    np.testing.assert_allclose(predicted(tmp_path), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("form", FORMATS)
def test_one_exported_file_is_the_mean_of_both_students(bundle, form, tmp_path):
    images = torch.randn(3, 1, 32, 32)
    trained = TrainedBundle(Bundle(bundle))
    file = export_network(trained, form, images, tmp_path / f"x{FORMATS[form].suffix}").file
    expected = mean_of_probabilities(bundle / "models" / "model.pt", images)
    torch.testing.assert_close(FORMATS[form].read(file)(images).softmax(1), expected, atol=1e-5, rtol=0)
    assert json.loads(FORMATS[form].describe(file)["network"]) == "the mean of two convnext_atto"
    assert list(tmp_path.iterdir()) == [file]


def test_monais_own_commands_take_it(bundle, tmp_path):
    configs = bundle / "configs"
    files = {"meta_file": str(configs / "metadata.json"), "config_file": str(configs / "inference.yaml")}
    weights = bundle / "models" / "model.pt"
    verify_net_in_out("network_def", **files, device="cpu")
    ckpt_export("network_def", filepath=str(tmp_path / "model.ts"), ckpt_file=str(weights), **files)
    onnx_export("network_def", filepath=str(tmp_path / "model.onnx"), ckpt_file=str(weights), **files)
    image = torch.randn(1, 1, 224, 224)
    expected = mean_of_probabilities(weights, image)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(tmp_path / "model.ts")(image).softmax(1), expected)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (logits,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits).softmax(1), expected, atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def unpacked(bundle, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    pack(str(bundle), str(folder / "x.zip"), num_workers=0)
    return unpack(folder / "x.zip", folder)


def test_packed_it_predicts_alone_what_the_bundle_predicts(bundle, unpacked, tmp_path):
    packed = ("run", "--config_file", unpacked / "configs" / "inference.json", "--output_dir", tmp_path / "alone")
    result = alone(*packed, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    images = slices(bundle, unpacked / "sample")
    expected = mean_of_probabilities(unpacked / "models" / "model.pt", images)
    np.testing.assert_allclose(predicted(tmp_path / "alone"), expected.numpy(), atol=1e-5)


def test_monai_and_monai_label_load_it_with_the_code_that_travels_with_it(unpacked, monkeypatch):
    def load() -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MONAI's own
            return monai.bundle.load(
                unpacked.name, bundle_dir=unpacked.parent, workflow_type="inference", device="cpu"
            ).eval()

    with pytest.warns(UserWarning, match="return state dict instead"):  # and not one student without weights
        assert isinstance(monai.bundle.load(unpacked.name, bundle_dir=unpacked.parent, device="cpu"), dict)
    with pytest.raises(ModuleNotFoundError, match=r"scripts\.bundle"):
        load()
    monkeypatch.syspath_prepend(str(unpacked))
    image = torch.randn(2, 1, 32, 32)
    try:
        expected = mean_of_probabilities(unpacked / "models" / "model.pt", image)
        torch.testing.assert_close(load()(image).softmax(1), expected)
        config = ConfigParser(ConfigParser.load_config_file(str(unpacked / "configs" / "inference.json")))
        config["bundle_root"] = str(unpacked)  # as MONAI Label does
        served = config.get_parsed_content("network_def").eval()
        served.load_state_dict(torch.load(unpacked / "models" / "model.pt", weights_only=True))
        torch.testing.assert_close(served(image).softmax(1), expected)
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "scripts"]:
            del sys.modules[name]


def test_monai_label_goes_on_with_both_students(unpacked, phantoms, tmp_path):
    """As its task does: a handler before all others loads what is served into ``network``, and not strictly."""
    models = tmp_path / "models"
    shutil.copytree(unpacked / "models", models)
    served = (models / "model.pt").read_bytes()
    train = unpacked / "configs" / "train.yaml"
    loader = {
        "_target_": "CheckpointLoader",
        "load_path": str(models / "model.pt"),
        "load_dict": {"model": "$@network"},
        "strict": False,
    }
    handlers = ConfigParser(ConfigParser.load_config_file(str(train)))["train#handlers"]
    (tmp_path / "label.json").write_text(json.dumps({"train#handlers": [loader, *handlers]}))
    printed = run(
        *("run", "--config_file", str([str(train), str(tmp_path / "label.json")]), "--dataset_dir", phantoms),
        *("--ckpt_dir", models, "--output_dir", tmp_path, "--train#trainer#max_epochs", "1", "--learning_rate", "0"),
        *("--num_workers", "0"),
        cwd=tmp_path,
    )
    assert f"training starts from {models / 'model.pt'}" in printed
    assert (models / "model.pt").read_bytes() == served, "no other network was better"
    state = torch.load(models / "training_state.pt", weights_only=True)
    for student, key in zip(students(models / "model.pt"), ("network", "auxiliary_network"), strict=True):
        assert all(torch.equal(state[key][name], value) for name, value in student.state_dict().items())


def test_the_classifier_in_one_file_is_exported_in_eight_bits_too_and_packed_for_pip(bundle, phantoms, monkeypatch):
    """The export compares the file with the bundle, study by study, before it is written."""
    monkeypatch.chdir(bundle.parent)
    options = ("--dataset_dir", str(phantoms), "--num_workers", "0")
    main(["export", bundle.name, *options])
    main(["export", bundle.name, *options, "--int8", "true"])
    folder = bundle / "models"
    assert (folder / "model_int8.onnx").stat().st_size < (folder / "model.onnx").stat().st_size
    main(["deploy", bundle.name, "--out", "served"])
    assert [path.suffix for path in (bundle.parent / "served").iterdir()] == [".whl"]


def test_it_is_compared_with_another_network_and_its_cards_say_that_there_are_two(bundle, phantoms, tmp_path):
    one = tmp_path / "one"
    training = ("run", "training", "--config_file", config("train", bundle=bundle), "--dataset_dir", phantoms)
    options = ("--auxiliary", "none", "--ckpt_dir", one, "--output_dir", one)
    run(*training, *BOTH[4:], *options, "--max_epochs", "1", cwd=tmp_path)
    against = ("evaluate", str(bundle), "--dataset_dir", str(phantoms), "--split", "test", "--num_workers", "0")
    main([*against, "--against", str(one / "model.pt"), "--output_dir", str(tmp_path)])
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["report"]["against"]
    main(["card", str(bundle), "--metrics", str(tmp_path / "metrics.json"), "--out", str(tmp_path / "cards")])
    assert "the mean of two students" in (tmp_path / "cards" / "claim.md").read_text()


def test_its_training_can_be_repeated_on_folds(bundle, phantoms, monkeypatch):
    monkeypatch.chdir(bundle.parent)
    recorded = yaml.safe_load((bundle / "models" / "model.yaml").read_text())["training"]["overrides"]
    assert recorded["deploy"] == "both"
    training = RepeatedTraining(bundle, str(phantoms), {"teacher_weights": "random"})
    assert training.settings["deploy"] == "both"


def test_a_killed_training_is_continued_to_the_same_end(bundle, phantoms, tmp_path):
    state = tmp_path / "training_state.pt"
    training = ("run", "training", "--config_file", config("train", bundle=bundle), "--dataset_dir", phantoms)
    training += ("--ckpt_dir", tmp_path, "--output_dir", tmp_path, *BOTH, *EPOCHS)
    process = start(*training, cwd=tmp_path)
    while not state.exists():
        assert process.poll() is None, "it ended before its first epoch"
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert "continuing after epoch" in run(*training, "--resume", "true", cwd=tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == (bundle / "models" / "model.pt").read_bytes()
    continued, whole = (torch.load(folder / state.name, weights_only=True) for folder in (tmp_path, bundle / "models"))
    for name in ("network", "auxiliary_network"):
        for key, tensor in whole[name].items():
            assert torch.equal(continued[name][key], tensor), f"{name} {key}"


def test_two_gloo_processes_save_both_students(bundle, phantoms, tmp_path):
    run_in_two(
        *("run", "training", "--config_file", config("train", "multi_gpu_train", bundle=bundle), "--backend", "gloo"),
        *("--dataset_dir", phantoms, "--ckpt_dir", tmp_path, "--output_dir", tmp_path, *BOTH, "--max_epochs", "1"),
        cwd=tmp_path,
    )
    state = torch.load(tmp_path / "training_state.pt", weights_only=True)
    for student, key in zip(students(tmp_path / "model.pt"), ("network", "auxiliary_network"), strict=True):
        assert all(torch.equal(state[key][name], value) for name, value in student.state_dict().items())
    configs = config("train", "evaluate", bundle=bundle)
    options = ("--ckpt_dir", tmp_path, "--output_dir", tmp_path, "--split", "validation", "--num_workers", "0")
    options += ("--report", "false")
    run("run", "--config_file", configs, "--dataset_dir", phantoms, *options, cwd=tmp_path)
    overall = json.loads((tmp_path / "metrics.json").read_text())["study"]["overall"]
    assert overall["balanced_accuracy"] == pytest.approx(state["best_model"]["best_metric"], abs=1e-9)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (("train",), (*BOTH, "--auxiliary", "none"), "two students, auxiliary: mutual or ema, but auxiliary is none"),
        (
            ("train",),
            (*BOTH, "--auxiliary", "frozen"),
            "two students, auxiliary: mutual or ema, but auxiliary is frozen",
        ),
        (("train",), (*BOTH, *EPOCHS, "--distillation_epochs", "2"), "distillation_epochs 1.0, or 3; got 2"),
        (
            ("train", "train_teacher"),
            ("--deploy", "both", "--teacher_weights", "random", *SMALL_TEACHER),
            "two students, auxiliary: mutual or ema, but auxiliary is none; leave deploy out",
        ),
        (("train", "evaluate", "combine_students"), (), "the network is both students already (deploy: both)"),
        (("train", "evaluate"), ("--deploy", "main"), "model.pt was trained with 'both', got 'main'; leave deploy out"),
    ],
)
def test_what_is_meant_otherwise_is_refused(bundle, phantoms, tmp_path, names, options, message):
    places = ("--dataset_dir", phantoms, "--output_dir", tmp_path, "--num_workers", "0")
    models = ("--ckpt_dir", tmp_path) if "evaluate" not in names else ()
    printed = run(
        "run", "--config_file", config(*names, bundle=bundle), *places, *models, *options, cwd=tmp_path, expect=2
    )
    assert message in printed.splitlines()[-1]
    assert not list(tmp_path.glob("*.pt"))
