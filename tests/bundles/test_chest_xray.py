"""The commands of the chest X-ray bundle, as its README has them, on phantoms."""

from __future__ import annotations

import csv
import functools
import json
import os
import re
import shutil
import signal
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml

from tests.bundles import processes
from tests.bundles.commands import (
    DEPTHS,
    DIMS,
    SMALL,
    SMALL_STUDENT,
    SMALL_TEACHER,
    TORCHRUN,
    config,
    run,
    run_dwskd,
    run_here,
    run_in_two,
    start,
)
from tests.bundles.tracking import (
    TRACKING,
    check_evaluation_is_tracked,
    check_inference_is_tracked,
    check_training_is_tracked,
)
from tests.conftest import BUNDLE
from tests.forks import Fork

# one process for all, so that the training that they share is run once
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("trained chest_xray")]

CLASSES = ["covid19", "no_findings", "pneumonia"]
NUMBER = r"\d\.\d{4}"
EPOCHS = ("--max_epochs", "3", "--distillation_epochs", "2")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the bundle, so that the tests leave nothing in the repository."""
    folder = tmp_path_factory.mktemp("bundles") / BUNDLE.name
    shutil.copytree(BUNDLE, folder, ignore=shutil.ignore_patterns("*.pt", "eval", "cache"))
    return folder


@pytest.fixture(scope="session")
def teacher(bundle, phantoms, tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("anywhere")
    printed = run(
        *("run", "--config_file", config("train", "train_teacher", bundle=bundle), "--dataset_dir", phantoms),
        *("--teacher_weights", "random", "--max_epochs", "1", "--distillation_epochs", "0", *SMALL_TEACHER),
        cwd=cwd,
    )
    assert "epoch 1/1: train_accuracy" in printed
    assert not list(cwd.iterdir()), "nothing is written where the command was started"
    return bundle / "models" / "teacher.pt"


@pytest.fixture(scope="session")
def trained(bundle, phantoms, teacher, tmp_path_factory) -> tuple[Path, str]:
    """The bundle after training, and what the training printed."""
    printed = run(
        *("run", "training", "--config_file", config("train", bundle=bundle), "--dataset_dir", phantoms),
        *("--teacher_weights", teacher, *EPOCHS, *SMALL, *TRACKING),
        cwd=tmp_path_factory.mktemp("elsewhere"),
    )
    return bundle, printed


def test_training_says_what_it_does_and_keeps_the_best_student(trained):
    bundle, printed = trained
    assert "overlap 0.00%" in printed
    assert "%|" not in printed, "a progress bar, which belongs on a terminal"
    for epoch in (1, 2, 3):
        lines = [line for line in printed.splitlines() if f"epoch {epoch}/3" in line]
        assert len(lines) == 1
        assert re.fullmatch(
            rf"\d\d:\d\d:\d\d INFO epoch {epoch}/3: train_accuracy {NUMBER}, train_loss {NUMBER}; "
            rf"balanced_accuracy {NUMBER}, accuracy {NUMBER}, macro_auc {NUMBER}; "
            rf"best balanced_accuracy {NUMBER}, (saved|of the auxiliary, saved|of epoch [12])",
            lines[0],
        )
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    student = timm.create_model(
        "convnext_atto", in_chans=1, num_classes=3, dims=json.loads(DIMS), depths=json.loads(DEPTHS)
    )
    student.load_state_dict(state)
    assert (bundle / "models" / "training_state.pt").exists()
    check_training_is_tracked(bundle)


@pytest.fixture(scope="session")
def evaluated(trained, phantoms, tmp_path_factory) -> Path:
    """The folder of an evaluation of the deployed student on the test images."""
    bundle, _ = trained
    run(
        *("run", "--config_file", config("train", "evaluate", bundle=bundle), "--dataset_dir", phantoms, *SMALL),
        *TRACKING,
        cwd=tmp_path_factory.mktemp("evaluation"),
    )
    return bundle / "eval" / "test"


def test_evaluation_writes_metrics_matrix_and_predictions(trained, evaluated, phantoms):
    bundle, _ = trained
    check_evaluation_is_tracked(bundle)
    folder = evaluated
    metrics = json.loads((folder / "metrics.json").read_text())
    test_images = [path for path in (phantoms / "test").rglob("*") if path.is_file()]
    assert "slice" not in metrics, "each study has one slice"
    assert metrics["study"]["overall"]["count"] == len(test_images)
    assert {"accuracy", "balanced_accuracy", "macro_auc", "macro_f1"} <= set(metrics["study"]["overall"])
    assert list(metrics["study"]["per_class"]) == CLASSES
    for values in metrics["study"]["per_class"].values():
        assert {"auc", "f1", "sensitivity", "specificity"} <= set(values)
    names = {path.name for path in folder.iterdir()}
    assert {"metrics.csv", "confusion_matrix.csv", "confusion_matrix.png", "predictions.csv", "report.html"} <= names
    page = (folder / "report.html").read_text()
    assert metrics["weights_sha256"] in page
    assert f"{len(test_images)} studies" in page
    assert metrics["report"]["data"]["studies"] == len(test_images)
    assert list(metrics["report"]["shortcuts"]["network"]) == ["whole images", "borders", "center", "blurred"]
    assert "data:image/jpeg;base64," in page, "what the network looked at"


def test_evaluation_of_the_teacher(trained, phantoms, tmp_path):
    bundle, _ = trained
    run(
        *("run", "--config_file", config("train", "train_teacher", "evaluate", bundle=bundle)),
        *("--dataset_dir", phantoms, "--split", "validation", "--output_dir", tmp_path / "out", *SMALL_TEACHER),
        *("--report", "false"),
        cwd=tmp_path,
    )
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["study"]["overall"]["count"] > 5


def test_inference_agrees_with_the_evaluation(trained, evaluated, phantoms, tmp_path):
    bundle, _ = trained
    run(
        *("run", "--config_file", config("inference", bundle=bundle), "--dataset_dir", phantoms / "test"),
        *("--image_size", "32", "--num_workers", "0", *SMALL_STUDENT, *TRACKING),
        cwd=tmp_path,
    )
    check_inference_is_tracked(bundle)
    with (bundle / "eval" / "inference" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    said = ["at_operating_point", "prediction_set", "unlike_training", "novelty", "note"]
    assert list(rows[0]) == ["study", "predicted", *CLASSES, "slices", *said]
    assert {Path(row["study"]).suffix for row in rows} == {".png", ".dcm"}
    for row in rows:
        probabilities = [float(row[name]) for name in CLASSES]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == CLASSES[int(np.argmax(probabilities))]
        assert 0 < float(row["novelty"]) < 4, "images of the same kind"
    with (evaluated / "predictions.csv").open(newline="") as file:
        expected = {row["study"]: row for row in csv.DictReader(file)}
    assert len(expected) == len(rows)
    for row in rows:
        assert row["predicted"] == expected[row["study"]]["predicted"]


def test_studies_that_it_does_not_know_are_suggested_and_their_labels_audited(trained, phantoms, tmp_path):
    bundle, _ = trained
    images = yaml.safe_load((bundle / "models" / "model.yaml").read_text())["training"]["images"]
    command = ("suggest", bundle, "--num_workers", "0", "--out", tmp_path / "out")
    code, printed = run_dwskd(*command, "--unlabeled_dir", phantoms, "--count", "5", cwd=tmp_path)
    assert code == 0, printed
    with (tmp_path / "out" / "suggestions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    tested = {str(path) for path in (phantoms / "test").glob("*/*")}
    assert len({row["image"] for row in rows} & tested) == len(rows) == 5
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert {row[student] for row in rows for student in ("predicted", "main", "auxiliary")} <= set(CLASSES)
    left_out = json.loads((tmp_path / "out" / "suggestions.json").read_text())["left_out"]
    assert (left_out["trained on"], left_out["validated on"]) == tuple(map(len, images.values()))
    code, printed = run_dwskd(*command, "--audit", "--dataset_dir", phantoms, cwd=tmp_path)
    assert code == 0, printed
    audit = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert tested <= set(audit["audited"])
    assert (len(audit["audited"]), len(audit["not_audited"])) == (
        15 + len(images["validation"]),
        len(images["training"]),
    )
    assert f"{len(images['training'])} not audited, because all networks were trained on them" in printed


def test_a_terminal_shows_a_progress_bar(trained, phantoms, tmp_path):
    bundle, _ = trained
    terminal, end_of_command = os.openpty()
    termios.tcsetwinsize(end_of_command, (24, 100))
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", config("inference", bundle=bundle)]
    options = ["--dataset_dir", phantoms / "test", "--output_dir", tmp_path, "--num_workers", "0"]
    with os.fdopen(end_of_command) as error, (tmp_path / "printed.txt").open("w") as printed:
        process = Fork([*command, *map(str, options)], stdout=printed, stderr=error)
    shown = b""
    with suppress(OSError):  # how a terminal ends
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)
    assert process.wait() == 0
    assert b"Iteration: [" in shown


def test_a_killed_training_is_continued_to_the_same_end(trained, phantoms, teacher, tmp_path):
    bundle, _ = trained
    state = tmp_path / "training_state.pt"
    arguments = (
        *("run", "training", "--config_file", config("train", bundle=bundle), "--dataset_dir", phantoms),
        *("--teacher_weights", teacher, "--ckpt_dir", tmp_path, "--output_dir", tmp_path, *EPOCHS, *SMALL),
    )
    process = start(*arguments, cwd=tmp_path)
    while not state.exists():
        assert process.poll() is None, "it ended before its first epoch"
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    stopped_after = torch.load(state, weights_only=True)["trainer"]["epoch"]
    printed = run(*arguments, "--resume", "true", cwd=tmp_path)
    assert f"continuing after epoch {stopped_after} of 3" in printed
    assert f"epoch {stopped_after}/3" not in printed
    for line in printed.splitlines():
        assert re.match(r"\d\d:\d\d:\d\d INFO |parsing config_file ", line), "one form for all; the other is MONAI's"
    ours, theirs = (torch.load(path, weights_only=True) for path in (state, bundle / "models" / "training_state.pt"))
    assert ours["best_model"] == theirs["best_model"]
    for name in ("network", "auxiliary_network"):
        for key, tensor in theirs[name].items():
            assert torch.equal(ours[name][key], tensor), f"{name} {key}"
    fitted, expected = (yaml.safe_load((folder / "model.yaml").read_text()) for folder in (tmp_path, bundle / "models"))
    assert fitted["evidence"] == expected["evidence"]
    assert "center" in fitted["evidence"]["novelty"]
    assert fitted["evidence"]["studies"] == len(expected["training"]["images"]["validation"])


def test_a_training_without_resume_keeps_all_of_the_one_that_was_there(trained, phantoms, teacher, tmp_path):
    bundle, _ = trained
    models = tmp_path / "models"
    shutil.copytree(bundle / "models", models)
    names = ["model.pt", "model.yaml", "training_state.previous.pt", "training_state.pt"]
    before = {name: (models / name).read_bytes() for name in names}
    options = ("run", "training", "--config_file", config("train", bundle=bundle), "--dataset_dir", phantoms, *SMALL)
    options += ("--teacher_weights", teacher, "--distillation_epochs", "2", "--output_dir", tmp_path)
    printed = run(*options, "--ckpt_dir", models, "--max_epochs", "2", cwd=tmp_path)
    kept = models / "earlier" / "1"
    assert f"it is kept in {kept} (" in printed
    assert f"To continue it: --resume true --ckpt_dir {kept}" in printed
    assert torch.load(models / "training_state.pt", weights_only=True)["trainer"]["epoch"] == 2
    assert {file.name: file.read_bytes() for file in kept.iterdir()} == before
    run_here(*options, "--ckpt_dir", kept, "--max_epochs", "4", "--resume", "true")
    assert torch.load(kept / "training_state.pt", weights_only=True)["trainer"]["epoch"] == 4


@pytest.mark.parametrize("auxiliary", ["mutual", "ema", "soft_labels", "teacher_soft_labels"])
def test_two_gloo_processes_keep_one_pair_of_students_and_measure_what_one_measures(
    auxiliary, bundle, phantoms, teacher, tmp_path
):
    run_both = functools.partial(run, launcher=TORCHRUN) if auxiliary == "mutual" else run_in_two
    shutil.copy(processes.__file__, tmp_path)
    check = tmp_path / "check.yaml"
    check.write_text(
        "+run:\n- {_target_: processes.assert_same_parameters, networks: '@students'}\n"
        "- {_target_: processes.assert_threads_of_gloo, there: true}\n"
        "+finalize: [{_target_: processes.assert_threads_of_gloo, there: false}]\n"
    )
    configs = [str(bundle / "configs" / name) for name in ("train.yaml", "multi_gpu_train.yaml")]
    printed = run_both(
        *("run", "--config_file", str([*configs, str(check)])),
        *("--backend", "gloo", "--dataset_dir", phantoms, "--teacher_weights", teacher, *SMALL),
        *("--max_epochs", "2", "--distillation_epochs", "2", "--auxiliary", auxiliary),
        *("--ckpt_dir", tmp_path, "--output_dir", tmp_path),
        cwd=tmp_path,
    )
    assert printed.count("epoch 2/2: train_accuracy") == 1, "one process logs"
    best = torch.load(tmp_path / "training_state.pt", weights_only=True)["best_model"]
    run(
        *("run", "--config_file", config("train", "evaluate", bundle=bundle), "--dataset_dir", phantoms),
        *("--ckpt_dir", tmp_path, "--output_dir", tmp_path, "--split", "validation", "--report", "false", *SMALL),
        cwd=tmp_path,
    )
    overall = json.loads((tmp_path / "metrics.json").read_text())["study"]["overall"]
    assert overall["count"] % 2 == 1, "an uneven number, so that padding would show"
    assert overall["balanced_accuracy"] == pytest.approx(best["best_metric"], abs=1e-9)
    assert yaml.safe_load((tmp_path / "model.yaml").read_text())["evidence"]["studies"] == overall["count"]
