"""The Python code of the pages runs, and the start page does what it says."""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import monai.bundle
import onnxruntime
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from dwskd_monai import weight_selection
from dwskd_monai.cli import main
from dwskd_monai.training import StudentOutput
from tests.bundles.commands import SMALL_SETTINGS, as_options, save_network
from tests.conftest import BUNDLE, REPOSITORY, tiny_convnext
from tests.docs.pages import PAGES, blocks, commands, name_of
from tests.forks import Fork
from tests.reading.dicom_files import write

pytestmark = pytest.mark.slow

SNIPPETS = {name_of(page): "\n".join(blocks(page, "python")) for page in PAGES if blocks(page, "python")}


def run(page: str, **names: object) -> dict[str, object]:
    """Run the snippets of a page, one after the other; they see ``names``."""
    exec(compile(SNIPPETS[page], page, "exec"), names)
    return names


def test_each_page_with_python_code_is_run_here():
    assert set(SNIPPETS) == {
        "README.md",
        "CONTRIBUTING.md",
        "docs/deploy.md",
        "docs/export.md",
        "docs/packing.md",
        "docs/weight_selection.md",
    }


def test_readme(monkeypatch, capsys):
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained=False: create(name))  # nothing is downloaded
    run("README.md")
    assert "overlap 0.00%" in capsys.readouterr().out


def test_contributing():
    term = run("CONTRIBUTING.md")["LogitDistance"]()
    student, peer = (StudentOutput(torch.tensor([[value, 0.0]])) for value in (3.0, 1.0))
    assert term(student, peer) == pytest.approx(2.0)


def test_weight_selection(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    teacher = tiny_convnext((16, 32, 48, 64))
    save_file(teacher.state_dict(), "teacher.safetensors")
    student, main_student, auxiliary = (tiny_convnext() for _ in range(3))
    with torch.device("meta"):
        network = tiny_convnext((16, 32, 48, 64))
    names = run(
        "docs/weight_selection.md",
        **{"teacher": teacher, "student": student, "main": main_student, "auxiliary": auxiliary},
        network_on_the_meta_device=network,
    )
    assert isinstance(names["report"], weight_selection.SelectionReport)
    assert names["pair"].overlap == 0


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return save_network(tiny_convnext(), tmp_path / "models", **SMALL_SETTINGS)


def test_export_and_running_without_torch(tmp_path, monkeypatch, models):
    monkeypatch.chdir(tmp_path)
    main(["export", str(BUNDLE), "--out", "model.onnx", "--ckpt_dir", str(models)])
    assert run("docs/export.md", onnxruntime=onnxruntime, json=json)["classes"] == [
        "covid19",
        "no_findings",
        "pneumonia",
    ]
    Image.radial_gradient("L").save("xray.png")
    write(Path("xray.dcm"))
    answer = run("docs/deploy.md")["answer"]
    assert answer.slices.shape == (1, 3)


@pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")  # MONAI: a config runs code
def test_packing(tmp_path, monkeypatch, models):
    monkeypatch.chdir(tmp_path)
    main(["pack", str(BUNDLE), "--out", "packed.zip", "--ckpt_dir", str(models)])
    main(["unpack", "packed.zip", "--out", "FOLDER"])
    network = run("docs/packing.md", monai=monai, torch=torch)["network"]
    assert network.default_cfg["architecture"] == SMALL_SETTINGS["student"]


def test_the_start_page_goes_from_nothing_to_predictions(tmp_path):
    """Its first commands as they stand, apart from one epoch in place of twelve, and fewer phantoms."""
    shown = commands(REPOSITORY / "docs" / "start.md")
    steps = shown[1 : 1 + [words[1] for words in shown[1:]].index("predict") + 1]
    assert [words[1] for words in steps] == ["phantoms", "create", "train", "train", "evaluate", "predict"]
    less = {"phantoms": ["--count", "60"], "train": as_options({"max_epochs": 1, "num_workers": 0})}
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    for _, name, *words in steps:
        command = [sys.executable, "-m", "dwskd_monai", name, *words, *less.get(name, [])]
        with (tmp_path / "printed.txt").open("w") as printed:
            code = Fork(command, cwd=tmp_path, env=environment, stdout=printed, stderr=subprocess.STDOUT).wait()
        assert code == 0, shlex.join(command) + (tmp_path / "printed.txt").read_text()[-3000:]
    with (tmp_path / "my_task" / "eval" / "inference" / "predictions.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert ",".join(header) in (REPOSITORY / "docs" / "start.md").read_text()
    assert len(rows) == sum(path.is_file() for path in (tmp_path / "phantoms" / "test").rglob("*"))
    for name in ("metrics.csv", "metrics.json", "confusion_matrix.png", "predictions.csv"):
        assert (tmp_path / "my_task" / "eval" / "test" / name).is_file()
