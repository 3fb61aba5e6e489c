"""A training that also learns from images without labels, as its users run it."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.data.phantoms import make_phantoms
from tests.bundles.commands import (
    DIMS,
    SMALL,
    TEACHER_DIMS,
    as_options,
    config,
    run,
    run_here,
    run_in_two,
    start,
    train_here,
)
from tests.conftest import BUNDLES

pytestmark = pytest.mark.slow

CLASSES = ("covid19", "no_findings", "pneumonia")
EPOCHS = ("--max_epochs", "4", "--label_epochs", "2", "--teacher_weights", "random", "--label_views", "2")


@pytest.fixture(scope="module")
def unlabeled(tmp_path_factory, phantoms) -> Path:
    """Phantoms of other patients, and all labeled images."""
    folder = tmp_path_factory.mktemp("unlabeled")
    make_phantoms("chest_xray", folder / "others", count=60, seed=9)
    (folder / "others" / "datalist.csv").unlink()
    for path in folder.glob("others/**/*.dcm"):
        path.unlink()  # their headers name the same patients as the labeled ones
    shutil.copytree(phantoms, folder / "labeled")
    (folder / "labeled" / "datalist.csv").unlink()
    return folder


def training(phantoms: Path, unlabeled: Path, folder: Path) -> tuple[str | Path, ...]:
    return (
        *("run", "training", "--config_file", config("train"), "--dataset_dir", phantoms, *EPOCHS, *SMALL),
        *("--unlabeled_dir", unlabeled, "--ckpt_dir", folder, "--output_dir", folder, "--cache_dir", folder / "cache"),
    )


@pytest.fixture(scope="module")
def trained(phantoms, unlabeled, tmp_path_factory) -> tuple[Path, str]:
    """The folder of a finished training, and what it printed."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, run(*training(phantoms, unlabeled, folder), cwd=folder)


def test_it_says_what_it_learns_from_and_leaves_out_what_is_held_out(trained, phantoms, unlabeled):
    folder, printed = trained
    (said,) = re.findall(r"(\d+) images without labels, (\d+) that are training images, (\d+) left out", printed)
    count, labeled, left_out = map(int, said)
    with (folder / "refused_unlabeled.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == left_out
    assert {row["kind"] for row in rows} == {"held out"}
    held_out = [*(phantoms / "test").glob("*/*"), *(path for path in phantoms.glob("train/*/*") if is_held(path, rows))]
    assert {path.name for path in held_out} <= {Path(row["path"]).name for row in rows}
    assert count + labeled + left_out == sum(path.is_file() for path in unlabeled.rglob("*"))
    assert f"soft labels of {count + labeled} images, {count} of them without a label; right for " in printed
    assert "epoch 4/4: train_accuracy" in printed
    origin = yaml.safe_load((folder / "model.yaml").read_text())["training"]
    assert origin["unlabeled"]["images"] == count
    assert len(origin["images"]["unlabeled"]) == count
    assert not {*origin["images"]["unlabeled"]} & {*origin["images"]["training"], *origin["images"]["validation"]}
    assert origin["unlabeled"]["agreement"] is None, "the teacher alone labels them"
    teacher = torch.load(folder / "training_state.pt", weights_only=True)["auxiliary_network"]
    assert len(teacher["stem.0.bias"]) == json.loads(TEACHER_DIMS)[0]
    assert origin["best"]["epoch"] in (3, 4), "the best network has learned soft labels"


def is_held(path: Path, rows: list[dict[str, str]]) -> bool:
    return any(row["path"].endswith(f"labeled/train/{path.parent.name}/{path.name}") for row in rows)


def test_one_network_is_deployed_and_predicts_as_any_other(trained, phantoms, tmp_path):
    folder, _ = trained
    run_here(
        *("run", "--config_file", config("inference"), "--dataset_dir", phantoms / "test", "--ckpt_dir", folder),
        *("--output_dir", tmp_path, "--num_workers", "0"),
    )
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 16


@pytest.fixture(scope="module")
def seen(unlabeled, tmp_path_factory) -> Path:
    """Test images of each class; two of them were learned from without their labels."""
    folder = tmp_path_factory.mktemp("seen")
    make_phantoms("chest_xray", folder / "new", count=60, seed=12)
    for name in CLASSES:
        (folder / "test" / name).mkdir(parents=True)
        shutil.copy(next((folder / "new" / "train" / name).glob("*.png")), folder / "test" / name / "new.png")
    for name in CLASSES[:2]:
        shutil.copy(next((unlabeled / "others" / "train" / name).glob("*.png")), folder / "test" / name / "seen.png")
    shutil.rmtree(folder / "new")
    return folder


@pytest.mark.parametrize(
    ("split", "configs"),
    [("test", ()), ("all", ()), ("test", ("combine_students",)), ("all", ("evaluate_exported",))],
    ids=["test", "all", "both students", "an exported network"],
)
def test_an_evaluation_on_images_that_were_learned_from_is_refused_in_one_message(
    trained, seen, tmp_path, split, configs
):
    code, printed = evaluated(trained[0], seen, tmp_path, *configs, split=split)
    assert code == 2
    message = (
        f"error: split {split}: the network learned from 2 of the 5 images without their labels: seen.png, seen.png; "
        "evaluate it on other images, or set allow_trained_images: true, which the report will say"
    )
    assert printed.splitlines()[-1] == message
    assert printed.count("error: ") == 1
    assert "Traceback" not in printed
    assert not (tmp_path / "metrics.json").exists()


def test_the_report_says_it_if_they_are_allowed(trained, seen, tmp_path):
    code, printed = evaluated(trained[0], seen, tmp_path, allow_trained_images="true")
    assert code == 0, printed
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["study"]["overall"]["count"] == 5
    assert metrics["trained_images"] is True


def test_images_that_were_not_learned_from_are_evaluated(trained, seen, tmp_path):
    shutil.copytree(seen, tmp_path / "data", ignore=shutil.ignore_patterns("seen.png"))
    code, printed = evaluated(trained[0], tmp_path / "data", tmp_path)
    assert code == 0, printed
    assert json.loads((tmp_path / "metrics.json").read_text())["trained_images"] is False


def test_a_student_of_a_network_that_learned_from_images_is_not_evaluated_on_them_either(
    trained, phantoms, seen, tmp_path
):
    same = {"teacher_def#dims": json.loads(DIMS), "complementary": False}
    train_here(tmp_path, phantoms, teacher_weights=str(trained[0] / "model.pt"), max_epochs=1, **same)
    code, printed = evaluated(tmp_path, seen, tmp_path)
    assert code == 2
    assert "the network started from one that had learned from 2 of the 5 images: seen.png, seen.png;" in printed


def test_a_training_that_goes_on_with_the_network_that_is_served_remembers_its_images(trained, phantoms, tmp_path):
    """As MONAI Label does: a handler before all others loads what is served."""
    for name in ("model.pt", "model.yaml"):
        shutil.copy(trained[0] / name, tmp_path)
    images = yaml.safe_load((tmp_path / "model.yaml").read_text())["training"]["images"]
    served = str(tmp_path / "model.pt")
    loader = {"_target_": "CheckpointLoader", "load_path": served, "load_dict": {"model": "$@network"}}
    handlers = ConfigParser(ConfigParser.load_config_file(config("train")))["train#handlers"]
    train_here(tmp_path, phantoms, max_epochs=1, fold=1, **{"train#handlers": [loader, *handlers]})
    state = torch.load(tmp_path / "training_state.pt", weights_only=True)["trained_settings"]
    assert set(state["earlier"]) == {*images["training"], *images["unlabeled"]}


def evaluated(models: Path, data: Path, folder: Path, *configs: str, **options: str) -> tuple[int, str]:
    """The exit code of an evaluation, and what it printed."""
    process = start(
        *("run", "--config_file", config("train", "evaluate", *configs), "--dataset_dir", data),
        *("--ckpt_dir", models, "--output_dir", folder, "--cache_dir", folder / "cache", "--num_workers", "0"),
        *("--explained", "0"),
        *as_options(options),
        cwd=folder,
    )
    code = process.wait()
    return code, (folder / "printed.txt").read_text()


@pytest.mark.parametrize("epoch", [1, 3], ids=["before there are soft labels", "afterwards"])
def test_killed_and_resumed_it_comes_to_the_same_end(trained, phantoms, unlabeled, tmp_path, epoch):
    whole, _ = trained
    state = tmp_path / "training_state.pt"
    shutil.copytree(whole / "cache", tmp_path / "cache")
    process = start_until(epoch, state, training(phantoms, unlabeled, tmp_path), tmp_path)
    assert process.wait() == -signal.SIGKILL
    stopped_after = torch.load(state, weights_only=True)["trainer"]["epoch"]
    assert stopped_after < 4
    printed = run(*training(phantoms, unlabeled, tmp_path), "--resume", "true", cwd=tmp_path)
    assert f"continuing after epoch {stopped_after} of 4" in printed
    resumed, expected = (torch.load(path / state.name, weights_only=True) for path in (tmp_path, whole))
    assert resumed["best_model"] == expected["best_model"]
    assert torch.equal(resumed["soft_labels"]["soft_labels"], expected["soft_labels"]["soft_labels"])
    for name in ("network", "auxiliary_network"):
        for key, tensor in expected[name].items():
            assert torch.equal(resumed[name][key], tensor), f"{name} {key}"


def test_two_students_label_images_too_and_resumed_they_come_to_the_same_end(phantoms, unlabeled, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for folder in (whole, stopped):
        folder.mkdir()
    students = ("--auxiliary", "soft_labels", "--cache_dir", tmp_path / "cache")
    run(*training(phantoms, unlabeled, whole), *students, cwd=whole)
    origin = yaml.safe_load((whole / "model.yaml").read_text())["training"]
    assert 0 <= origin["unlabeled"]["agreement"] <= 1
    again = (*training(phantoms, unlabeled, stopped), *students)
    state = stopped / "training_state.pt"
    assert start_until(3, state, again, stopped).wait() == -signal.SIGKILL
    run(*again, "--resume", "true", cwd=stopped)
    resumed, expected = (torch.load(folder / state.name, weights_only=True) for folder in (stopped, whole))
    assert resumed["best_model"] == expected["best_model"]
    assert torch.equal(resumed["soft_labels"]["soft_labels"], expected["soft_labels"]["soft_labels"])
    for key, tensor in expected["network"].items():
        assert torch.equal(resumed["network"][key], tensor), key


def test_two_processes_label_the_images_as_one_does(phantoms, unlabeled, tmp_path):
    """With networks that do not change, and without augmentation, which is drawn by each process."""
    still = ("--learning_rate", "0", "--train#random_transforms", "[]", "--auxiliary", "soft_labels")
    labels, rows = [], []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        given = [*training(phantoms, unlabeled, folder), *still, "--max_epochs", "2", "--label_epochs", "1"]
        if count == 2:
            given[given.index(config("train"))] = config("train", "multi_gpu_train")
            printed = run_in_two(*given, "--backend", "gloo", cwd=folder)
            assert printed.count("images without labels, ") == 1, "one process says it"
        else:
            run(*given, cwd=folder)
        state = torch.load(folder / "training_state.pt", weights_only=True)
        labels.append(dict(zip(state["soft_labels"]["contents"], state["soft_labels"]["soft_labels"], strict=True)))
        with (folder / "refused_unlabeled.csv").open(newline="") as file:
            rows.append([row["path"] for row in csv.DictReader(file)])
    assert rows[0] == rows[1]
    assert labels[0].keys() == labels[1].keys()
    for content, expected in labels[0].items():
        torch.testing.assert_close(labels[1][content], expected)


def start_until(epoch: int, state: Path, arguments: tuple[str | Path, ...], folder: Path):
    """Start a training, and kill it when the state of an epoch is there."""
    process = start(*arguments, cwd=folder)
    while not state.exists() or torch.load(state, weights_only=True)["trainer"]["epoch"] < epoch:
        assert process.poll() is None, "it ended too early"
        time.sleep(0.01)
    process.kill()
    return process


def test_the_same_images_are_needed_to_resume(trained, phantoms, unlabeled, tmp_path):
    whole, _ = trained
    for path in whole.glob("*.pt"):
        shutil.copy(path, tmp_path)
    shutil.copytree(unlabeled, tmp_path / "fewer")
    next((tmp_path / "fewer" / "others" / "train").glob("*/*.png")).unlink()
    printed = run(
        *training(phantoms, tmp_path / "fewer", tmp_path), "--resume", "true", "--cache_dir", whole / "cache",
        cwd=tmp_path, expect=2,
    )  # fmt: skip
    assert "unlabeled images: 1 of" in printed


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        ({"unlabeled_dir": "images"}, (0.001, 0.001)),
        ({"unlabeled_dir": "images", "teacher_learning_rate": 0.01}, (0.001, 0.01)),
        ({"unlabeled_dir": "images", "auxiliary": "soft_labels"}, (0.001, 0.001)),
        ({}, (0.001, 0.001)),
    ],
    ids=["by default", "another", "two students", "without unlabeled images"],
)
def test_the_teacher_has_its_own_learning_rate(settings, rates):
    small = {"teacher": "convnext_atto", "student": "convnext_atto", "teacher_weights": "random", "image_size": 32}
    bundle = Bundle(BUNDLES[0], settings | small | {"learning_rate": 0.001, "device": "cpu"})
    parser = bundle.config("train")
    networks = parser.get_parsed_content("students")
    groups = parser.get_parsed_content("optimizer").param_groups
    of = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    found = [{of[id(parameter)] for parameter in network.parameters()} for network in networks]
    assert [list(each) for each in found] == [[pytest.approx(rate)] for rate in rates]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_teacher_learns_from_labels_alone_and_says_so(bundle):
    teacher = Bundle(bundle, {"unlabeled_dir": "images"})
    with pytest.raises(ValueError, match="unlabeled_dir: this training learns from labels alone; leave it out"):
        teacher.parsed("chosen_auxiliary", "train", "train_teacher")
    assert Bundle(bundle).parsed("chosen_auxiliary", "train", "train_teacher") == "none"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--auxiliary", "mutual"), "unlabeled_dir: nothing is learned from its images with auxiliary: mutual"),
        (
            ("--deploy", "both"),
            "deploy: both needs two students, auxiliary: mutual or ema, but auxiliary is teacher_soft_labels",
        ),
    ],
    ids=["another auxiliary", "both students deployed"],
)
def test_what_contradicts_it_stops_the_run(phantoms, unlabeled, tmp_path, options, message):
    given = [*training(phantoms, unlabeled, tmp_path), *options]
    printed = run(*given, cwd=tmp_path, expect=2)
    assert message in printed
