"""The three bundles in the stock monaibundle app: inference, labels, training, and the new network in use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dwskd_monai.commands.pack.command import pack
from dwskd_monai.data.phantoms.brain_mri import brain_mri
from dwskd_monai.data.phantoms.chest_xray import chest_xray
from dwskd_monai.data.phantoms.lung_ct import lung_ct
from dwskd_monai.data.phantoms.writing import write_dicom, write_multiframe, write_nifti, write_series
from tests.bundles.commands import DEPTHS, SMALL_SETTINGS, TEACHER_DIMS, save_network
from tests.conftest import BUNDLES, tiny_convnext
from tests.integration.server import Server, serving

SMALL = SMALL_SETTINGS | {
    "teacher": "convnext_atto",
    "teacher_weights": "random",
    "teacher_def#dims": json.loads(TEACHER_DIMS),
    "teacher_def#depths": json.loads(DEPTHS),
    "labeling_teacher#dims": json.loads(TEACHER_DIMS),
    "labeling_teacher#depths": json.loads(DEPTHS),
    "learning_rate": 0.01,
    "warmup_epochs": 0,
    "min_steps": 0,
    "translate_range": [2, 2],
}


def write_pictures(folder: Path) -> None:
    """Chest X-rays: PNG, JPEG and DICOM."""
    rng = np.random.default_rng(0)
    for index, name in enumerate(("covid19", "no_findings", "pneumonia") * 6):
        unit = np.clip(0.5 + 0.17 * chest_xray(name, rng), 0, 1)
        if index % 3 == 2:
            write_dicom(np.round(unit * 4095).astype(np.uint16), folder / f"xray{index:02d}.dcm", "P", index % 2 == 1)
        else:
            suffix = "jpeg" if index % 3 else "png"
            Image.fromarray(np.round(unit * 255).astype(np.uint8)).save(folder / f"xray{index:02d}.{suffix}")


def write_volumes(folder: Path, modality: str) -> None:
    """NIfTI and multi-frame DICOM files, and a series in a folder of its own."""
    rng = np.random.default_rng(0)
    for index in range(9):
        if modality == "CT":
            volume, affine = lung_ct(("covid", "non_covid")[index % 2], rng)
        else:
            volume, affine = brain_mri(("glioma", "meningioma", "no_tumor", "pituitary")[index % 4], rng)
        if index == 8:
            write_series(volume, affine, folder / "series", "P", modality)
        elif index % 2:
            write_multiframe(volume, affine, folder / f"scan{index}.dcm", "P", modality)
        else:
            write_nifti(volume, affine, folder / f"scan{index}.nii.gz")


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda path: path.name)
def server(request, tmp_path_factory) -> Iterator[tuple[Server, Path]]:
    """A server with a network of random weights, and its studies."""
    folder = tmp_path_factory.mktemp(request.param.name)
    studies = folder / "studies"
    studies.mkdir()
    if request.param.name.startswith("chest"):
        write_pictures(studies)
    else:
        write_volumes(studies, "CT" if request.param.name.startswith("lung") else "MR")
    outputs = json.loads((request.param / "configs" / "metadata.json").read_text())["network_data_format"]["outputs"]
    torch.manual_seed(0)
    network = tiny_convnext(num_classes=outputs["pred"]["num_channels"])
    models = save_network(network, folder / "models", request.param, **SMALL_SETTINGS)
    file = folder / f"{request.param.name}.zip"
    pack(str(request.param), str(file), ckpt_dir=str(models), **SMALL)
    with serving(file, studies, folder / "server") as started:
        yield started, studies


def write_unlabeled(folder: Path, model: str) -> None:
    """Studies of other patients; their files name none."""
    rng = np.random.default_rng(1)
    for index in range(4):
        if model.startswith("chest"):
            unit = np.clip(0.5 + 0.17 * chest_xray("pneumonia", rng), 0, 1)
            Image.fromarray(np.round(unit * 255).astype(np.uint8)).save(folder / f"other{index}.png")
        else:
            volume, affine = lung_ct("covid", rng) if model.startswith("lung") else brain_mri("glioma", rng)
            write_nifti(volume, affine, folder / f"other{index}.nii.gz")


def images(studies: Path) -> list[Path]:
    """What was written there; the server adds files of its own."""
    return sorted(path for path in studies.iterdir() if path.name.startswith(("xray", "scan", "series")))


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_info_names_the_classes(server):
    started, _ = server
    model = started.info()["models"][started.model]
    names = json.loads((started.folder / "configs" / "metadata.json").read_text())["network_data_format"]["outputs"]
    assert model["type"] == "classification"
    assert list(model["labels"]) == list(names["pred"]["channel_def"].values())
    assert started.model in started.info()["trainers"]


def test_each_format_is_classified(server):
    started, studies = server
    classes = started.info()["models"][started.model]["labels"]
    kinds = {"series" if path.is_dir() else path.suffix for path in images(studies)}
    assert kinds == ({".png", ".jpeg", ".dcm"} if started.model.startswith("chest") else {".gz", ".dcm", "series"})
    for kind in sorted(kinds):
        image = next(path for path in images(studies) if path.name.endswith(kind))
        by_path = started.infer(image)
        assert list(by_path) == list(classes)
        assert sum(by_path.values()) == pytest.approx(1, abs=1e-5)
        if image.is_file():
            assert started.infer(image.name.split(".")[0]) == by_path
            assert started.infer(image, upload=True) == by_path


def submit(started: Server, studies: Path, folder: Path, agree: bool) -> None:
    """Label each image with the class that the network predicts, or with another one."""
    for name in (path.name.split(".")[0] for path in images(studies) if path.is_file()):
        scores = started.infer(name)
        order = sorted(scores, key=lambda label: -scores[label])
        started.submit(name, order[0 if agree else 1], folder)


def test_a_better_network_is_used_at_once_and_a_worse_one_never(server, tmp_path):
    started, studies = server
    model = started.folder / "models" / "model.pt"
    image = images(studies)[0]
    first, scores = digest(model), started.infer(image)

    submit(started, studies, tmp_path, agree=False)  # the served network has no label right
    started.train(max_epochs=12)  # enough to unlearn what it predicted
    second, new_scores = digest(model), started.infer(image)
    assert second != first
    assert new_scores != scores
    assert digest(model.parent / "earlier" / "1" / "model.pt") == first, "what was served before is kept"

    submit(started, studies, tmp_path, agree=True)  # the served network has each label right: none can be better
    started.train(max_epochs=1)
    assert digest(model) == second
    assert digest(model.parent / "earlier" / "1" / "model.pt") == first
    assert started.infer(image) == new_scores


def test_a_training_learns_from_studies_that_nobody_has_labeled(server, tmp_path):
    started, studies = server
    submit(started, studies, tmp_path, agree=True)
    write_unlabeled(studies, started.model)
    config = started.folder / "configs" / "train.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"unlabeled_dir": "@monai_label_studies"}))
    started.train(max_epochs=2)
    state = torch.load(started.folder / "models" / "training_state.pt", weights_only=True)
    training = len(state["trained_settings"]["images"]["training"])
    unlabeled = len(state["trained_settings"]["images"]["unlabeled"])
    assert unlabeled >= 4
    assert state["soft_labels"]["soft_labels"].shape[0] == training + unlabeled
