from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import Compose
from torch import nn

from dwskd_monai.bundle import Bundle
from tests.bundles.commands import SMALL_SETTINGS, save_network
from tests.commands.suggest.runs import DEPLOYED, NAMES, SECOND, draw, images, save_state, trained_on
from tests.conftest import BUNDLE


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return save_network(DEPLOYED, tmp_path_factory.mktemp("saved"), **SMALL_SETTINGS)


@pytest.fixture
def models(saved, tmp_path) -> Path:
    """What a training leaves, without its state: the deployed network."""
    return Path(shutil.copytree(saved, tmp_path / "models"))


@pytest.fixture(scope="module")
def transform(saved) -> Compose:
    """From a file to what the network sees."""
    return Compose(Bundle(BUNDLE, {"ckpt_dir": str(saved)}).parsed("study_transforms", "inference"))


@pytest.fixture
def unlabeled(tmp_path) -> Path:
    folder = tmp_path / "unlabeled"
    for number in range(6):
        draw(folder / f"{number}.png", number)
    return folder


@pytest.fixture
def both(models) -> Path:
    return save_state(models)


@pytest.fixture(scope="module")
def predicted(transform) -> Callable[[nn.Module, str | Path], np.ndarray]:
    """Probabilities of a picture as the bundle's inference reads it."""

    @torch.no_grad()
    def of(net: nn.Module, image: str | Path) -> np.ndarray:
        slices = torch.as_tensor(transform({"image": str(image)})["image"]).movedim(1, 0)
        return net(slices)[0].double().softmax(0).numpy()

    return of


@pytest.fixture(scope="module")
def labeled(tmp_path_factory) -> Path:
    """A folder with a folder for each class, which has eight images."""
    folder = tmp_path_factory.mktemp("labeled")
    for number in range(24):
        draw(folder / NAMES[number % 3] / f"{number}.png", number)
    return folder


@pytest.fixture(scope="module")
def bundles(labeled, tmp_path_factory) -> tuple[Path, Path]:
    """Two trained bundles: one was trained on all but each fourth image, the other on all but the first eight."""
    folder = tmp_path_factory.mktemp("bundles")
    everything = images(labeled)
    parts = {"B0": [path for path in everything if int(path.stem) % 4], "B1": everything[8:]}
    for (name, training), deployed in zip(parts.items(), (DEPLOYED, SECOND)):
        copy = folder / name
        shutil.copytree(BUNDLE / "configs", copy / "configs")
        save_network(deployed, copy / "models", copy, **SMALL_SETTINGS)
        trained_on(copy / "models", training)
    save_state(folder / "B0" / "models")
    return folder / "B0", folder / "B1"
