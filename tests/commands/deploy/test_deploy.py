"""A wheel of a classifier is whole, and predicts without torch, MONAI and this package."""

from __future__ import annotations

import ast
import base64
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

import numpy as np
import onnx
import pydicom
import pytest
import yaml
from onnx import helper
from PIL import Image

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.settings_file import digest_of
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.commands.deploy.command import deploy
from dwskd_monai.commands.export.classifier import prepared_images, write_classifier
from dwskd_monai.evaluation.evidence import applied
from dwskd_monai.evaluation.exported import read_onnx
from dwskd_monai.runtime.command import main
from tests.bundles.commands import SMALL_SETTINGS, save_network
from tests.conftest import BUNDLE, tiny_convnext
from tests.evaluation.cards.made import metrics_of
from tests.evaluation.page.made import evaluated
from tests.reading.dicom_files import write
from tests.runtime.made import small_network

MODULE = "chest_xray_classification"
ALONE = """
import sys
sys.modules.update(dict.fromkeys(("torch", "monai", "ignite", "sklearn", "dwskd_monai", "itk")))
from chest_xray_classification import predict
from chest_xray_classification.__main__ import run
sys.argv[0] = "chest-xray-classification"
assert predict(f"{sys.argv[1]}/a.png").probabilities.shape == (3,)
sys.exit(run())
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for name in ("a", "b"):
        pixels = np.random.default_rng(ord(name)).integers(0, 256, (50, 40)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "c.png").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def models(images, tmp_path_factory) -> Path:
    """Weights, and a classifier that says it was exported from them."""
    folder = save_network(tiny_convnext(), tmp_path_factory.mktemp("models"), **SMALL_SETTINGS)
    trained = TrainedBundle(Bundle(BUNDLE, {"ckpt_dir": str(folder)}))
    compared = prepared_images(trained, [{"image": str(images / "a.png")}])
    network = small_network(folder / "network.onnx")
    write_classifier(trained, network, compared, folder / "model.onnx", read_onnx(network))
    return folder


@pytest.fixture(scope="module")
def wheel(models, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheels")
    deploy(str(BUNDLE), str(out), ckpt_dir=str(models))
    return out / f"{MODULE}-{Bundle(BUNDLE).metadata['version']}-py3-none-any.whl"


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """What pip makes of it, but for the console script."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_each_file_of_the_wheel_is_listed_with_its_digest(wheel, installed):
    (record,) = installed.glob("*.dist-info/RECORD")
    listed = {path: digest for path, digest, _ in csv.reader(record.read_text().splitlines())}
    with zipfile.ZipFile(wheel) as archive:
        assert set(listed) == set(archive.namelist())
    for path, digest in listed.items():
        if path.endswith("RECORD"):
            continue
        content = hashlib.sha256((installed / path).read_bytes()).digest()
        assert digest == "sha256=" + base64.urlsafe_b64encode(content).decode().rstrip("=")


def test_pip_learns_what_it_needs_and_what_it_is_called(installed):
    (info,) = installed.glob("*.dist-info")
    distribution = Distribution.at(info)
    assert distribution.metadata["Name"] == "chest-xray-classification"
    assert distribution.metadata["Summary"].endswith("not for diagnosis.")
    needed = {
        re.split("[=>]", requirement)[0] for requirement in distribution.requires or [] if "extra" not in requirement
    }
    names = {re.split("[=>]", requirement)[0] for requirement in needed}
    assert names == {"highdicom", "nibabel", "numpy", "onnxruntime", "pillow", "pydicom"}
    extras = {re.split("[=>;]", one)[0] for one in distribution.requires or [] if 'extra == "listen"' in one}
    assert extras == {"prometheus_client", "pynetdicom", "requests"}
    (script,) = distribution.entry_points
    assert (script.name, script.value) == ("chest-xray-classification", f"{MODULE}.__main__:run")


@pytest.mark.slow
def test_it_predicts_alone_what_the_runtime_predicts(installed, models, images, tmp_path):
    assert main([str(images), "--out", str(tmp_path / "here")], models / "model.onnx") == 3
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    process = subprocess.run(
        [sys.executable, "-c", ALONE, images, "--out", tmp_path / "alone"],
        env=environment | {"HOME": str(home), "XDG_CACHE_HOME": str(home)},
        capture_output=True,
        text=True,
        cwd=installed,
    )
    assert process.returncode == 3, process.stderr
    assert not [*home.iterdir()], "ONNX Runtime keeps the identifier of the machine there, and sends it"
    for name in ("predictions.csv", "predictions.json", "refused.csv"):
        assert (tmp_path / "alone" / name).read_text() == (tmp_path / "here" / name).read_text()


@pytest.mark.slow
def test_it_answers_in_dicom_alone(installed, models, images, tmp_path):
    studies = tmp_path / "studies"
    studies.mkdir()
    shutil.copy(images / "a.png", studies)
    write(studies / "xray.dcm", SeriesInstanceUID="Secret^Name")
    options = [studies, "--out", tmp_path / "out", "--dicom_out"]
    assert main([*map(str, options), str(tmp_path / "here")], models / "model.onnx") == 0
    process = subprocess.run(
        [sys.executable, "-c", ALONE, *options, tmp_path / "alone"], capture_output=True, text=True, cwd=installed
    )
    assert process.returncode == 0, process.stderr
    assert "1 study is not DICOM, so it has no DICOM answer" in process.stderr
    assert "Secret" not in process.stderr  # pydicom warns of such a value, and shows it
    here, alone = (sorted((tmp_path / folder).iterdir()) for folder in ("here", "alone"))
    assert [path.name for path in here] == [path.name for path in alone]
    assert [path.name.split(".")[0] for path in here] == ["OT", "SR"]
    for first, second in zip(map(pydicom.dcmread, here), map(pydicom.dcmread, alone)):
        for dataset in (first, second):
            for element in [element for element in dataset.iterall() if element.VR in ("DA", "TM", "DT")]:
                element.value = None
        assert first == second


@pytest.mark.slow
def test_listen_as_its_first_word_starts_the_listener(installed, tmp_path):
    words = ["listen", "--to", "127.0.0.1:11113", "--folder", str(tmp_path / "listener"), "--host", "192.0.2.1"]
    code = "\n".join(line for line in ALONE.splitlines() if not line.startswith("assert"))
    process = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=installed)
    assert process.returncode == 2, process.stderr
    expected = "chest-xray-classification listen: --port 11112 of 192.0.2.1: Cannot assign requested address"
    assert process.stderr.splitlines()[-1] == expected
    assert (tmp_path / "listener" / "journal.sqlite").is_file()


@pytest.mark.parametrize("option", ["--version", "--card", "--help"])
def test_the_command_says_what_it_is(models, tmp_path, capsys, option):
    card = tmp_path / "card.md"
    card.write_text("# A classifier")
    with pytest.raises(SystemExit) as end:
        main([option], models / "model.onnx", "chest-xray", "1.2.3", card)
    assert end.value.code == 0
    expected = {"--version": "chest-xray 1.2.3", "--card": "# A classifier", "--help": "usage: chest-xray"}
    assert capsys.readouterr().out.startswith(expected[option])


@pytest.mark.slow
def test_the_page_that_it_prints_has_the_numbers_of_its_evaluation(models, installed, tmp_path):
    assert "Nothing was measured" in (installed / MODULE / "card.md").read_text()
    file = tmp_path / "metrics.json"
    own = {"weights_sha256": digest_of(models / "model.pt"), "evidence": applied({}), "trained_images": 0}
    content = metrics_of(evaluated(160, 3), split="validation", fitted_images=160) | own
    file.write_text(json.dumps(content))
    deploy(str(BUNDLE), str(tmp_path), metrics=str(file), ckpt_dir=str(models))
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        page = archive.read(f"{MODULE}/card.md").decode()
    assert "| macro AUC | " in page
    assert "validation images" in page
    assert "160 of these images chose the epoch, so new images will have worse numbers." in page
    assert "Nothing was measured" not in page
    file.write_text(json.dumps(content | {"weights_sha256": "0f"}))
    with pytest.raises(ValueError, match="metrics: these are of another network"):
        deploy(str(BUNDLE), str(tmp_path / "other"), metrics=str(file), ckpt_dir=str(models))


def test_the_dockerfile_installs_the_wheel_and_runs_its_command_without_rights(models, tmp_path):
    deploy(str(BUNDLE), str(tmp_path), docker=True, ckpt_dir=str(models))
    (wheel,) = tmp_path.glob("*.whl")
    lines = (tmp_path / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    steps = dict(line.split(" ", 1) for line in lines if not line.startswith("#"))
    assert steps["FROM"].endswith("-slim")
    assert steps["COPY"].split()[0] == wheel.name
    assert f'pip install --no-cache-dir "/tmp/{wheel.name}[compressed' in steps["RUN"]
    assert int(steps["USER"]) > 1000
    assert f"--uid {steps['USER']} " in steps["RUN"]
    assert json.loads(steps["ENTRYPOINT"]) == ["chest-xray-classification"]


def bundle_that_says(folder: Path, **metadata: str) -> str:
    """A copy of the bundle with other words in its metadata."""
    shutil.copytree(BUNDLE, folder)
    file = folder / "configs" / "metadata.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | metadata))
    return str(folder)


@pytest.mark.slow
def test_words_of_the_metadata_do_not_break_the_package(models, tmp_path):
    words = 'Research\nin C:\\new "only"'
    bundle = bundle_that_says(tmp_path / "My-bundle 2", name=words, intended_use=words, version="1.0rc1")
    deploy(bundle, str(tmp_path), ckpt_dir=str(models), docker=True)
    with zipfile.ZipFile(tmp_path / "my_bundle_2-1.0rc1-py3-none-any.whl") as archive:
        module = ast.parse(archive.read("my_bundle_2/__init__.py"))
        headers = archive.read("my_bundle_2-1.0rc1.dist-info/METADATA").decode().split("\n\n")[0]
    shown = " ".join(words.split())
    assert ast.get_docstring(module) == f"{shown}, a classifier that dwskd_monai deployed. {shown}"
    assert f"Summary: {shown}. {shown}" in headers.splitlines()
    assert (tmp_path / "Dockerfile").read_text().splitlines()[0].startswith(f"# {shown}. {shown}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("bundle", "0.2.0-beta", "version: expected one that pip takes, such as 0.2.0 or 1.0rc1, got '0.2.0-beta'"),
        ("2d", "1.0", "bundle: '2d' cannot be the name of a Python package; call the folder otherwise"),
        ("röntgen", "1.0", "bundle: 'röntgen' cannot be the name of a Python package; call the folder otherwise"),
    ],
)
def test_what_pip_would_refuse_is_named(models, tmp_path, name, version, message):
    bundle = bundle_that_says(tmp_path / name, version=version)
    with pytest.raises(ValueError, match=message):
        deploy(bundle, str(tmp_path), ckpt_dir=str(models))
    assert not list(tmp_path.glob("*.whl"))


def test_a_classifier_with_earlier_evidence_is_not_deployed(models, tmp_path):
    shutil.copytree(models, tmp_path / "models")
    file = tmp_path / "models" / "model.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"evidence": {"temperature": {"value": 2.0}}}))
    with pytest.raises(ValueError, match=r"model.onnx was exported before the evidence of the bundle changed; export"):
        deploy(str(BUNDLE), str(tmp_path), ckpt_dir=str(tmp_path / "models"))


def test_a_classifier_that_is_missing_or_of_other_weights_is_named(models, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"classifier: .*x.onnx does not exist; dwskd export .* writes it"):
        deploy(str(BUNDLE), str(tmp_path), str(tmp_path / "x.onnx"), ckpt_dir=str(models))
    others = save_network(tiny_convnext(ls_init_value=1.0), tmp_path / "others", **SMALL_SETTINGS)
    with pytest.raises(ValueError, match=r"model.onnx was not exported from .*model.pt; export it again"):
        deploy(str(BUNDLE), str(tmp_path), str(models / "model.onnx"), ckpt_dir=str(others))
    network = onnx.load(models / "network.onnx")
    helper.set_model_props(network, {"weights_sha256": json.dumps(digest_of(models / "model.pt"))})
    onnx.save(network, tmp_path / "network.onnx")
    with pytest.raises(ValueError, match=r"network.onnx is a network alone; dwskd export --format onnx writes"):
        deploy(str(BUNDLE), str(tmp_path), str(tmp_path / "network.onnx"), ckpt_dir=str(models))
    assert not list(tmp_path.glob("*.whl"))
