"""How long a training is: min_steps, whatever the number of images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.bundles.commands import train_here

pytestmark = pytest.mark.slow

MAX_EPOCHS, MIN_STEPS = 2, 11


def train(folder: Path, phantoms: Path, **more: Any) -> dict[str, Any]:
    """Train in this process; returns what training_state.pt has afterwards."""
    train_here(folder, phantoms, **{"max_epochs": MAX_EPOCHS, "min_steps": MIN_STEPS, **more})
    return torch.load(folder / "training_state.pt", weights_only=True)


def steps(state: dict[str, Any]) -> int:
    """How many steps the optimizer made."""
    return int(state["optimizer"]["state"][0]["step"])


def test_few_images_are_gone_through_again_until_there_are_min_steps_also_when_resumed(phantoms, tmp_path):
    whole = train(tmp_path / "whole", phantoms)
    assert whole["trainer"]["epoch"] == MAX_EPOCHS
    without = steps(train(tmp_path / "without", phantoms, min_steps=0))
    assert without < MIN_STEPS <= steps(whole) == 2 * without

    stopped = tmp_path / "stopped"
    shutil.copytree(tmp_path / "whole", stopped)
    (stopped / "training_state.pt").unlink()
    (stopped / "training_state.previous.pt").rename(stopped / "training_state.pt")
    assert torch.load(stopped / "training_state.pt", weights_only=True)["trainer"]["epoch"] == 1
    resumed = train(stopped, phantoms, resume=True)
    for name, weight in whole["network"].items():
        assert torch.equal(resumed["network"][name], weight), name
