"""Running ``suggest`` with networks whose predictions and training images are known."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from torch import nn

from dwskd_monai.cli import main
from dwskd_monai.data.cache import digest_of
from tests.conftest import BUNDLE, tiny_convnext

NAMES = ["covid19", "no_findings", "pneumonia"]


def network(seed: int) -> nn.Module:
    """A network whose predictions differ from image to image."""
    torch.manual_seed(seed)
    made = tiny_convnext().eval()
    with torch.no_grad():
        made.head.fc.weight *= 60
    return made


DEPLOYED, MAIN, AUXILIARY, SECOND = (network(seed) for seed in range(4))  # SECOND: deployed by another bundle


def draw(path: Path, number: int) -> Path:
    """A picture that looks like no other one."""
    coarse = np.random.default_rng(number).integers(0, 255, (8, 8), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).save(path)
    return path


def save_state(
    models: Path, images: Sequence[str] = (), students: int = 2, main: nn.Module = MAIN, **more: Any
) -> Path:
    """Write the state of a training that is over, or one with ``more``; the folder."""
    state = {
        "network": main.state_dict(),
        "auxiliary_network": AUXILIARY.state_dict(),
        "trainer": {"students": students, "epoch": 5},
        "lr_scheduler": {"t_total": 5},
        "trained_settings": {"images": {"training": [[digest, 0] for digest in images]}},
    }
    torch.save(state | more, models / "training_state.pt")
    return models


def trained_on(models: Path, training: Sequence[Path], validation: Sequence[Path] = ()) -> None:
    """Let the settings say so."""
    parts = {"training": training, "validation": validation}
    record(models, images={part: [digest_of(path) for path in paths] for part, paths in parts.items()})


def record(models: Path, **origin: Any) -> None:
    """Let the settings say this of the training."""
    file = models / "model.yaml"
    content = yaml.safe_load(file.read_text())
    content["training"] |= origin
    file.write_text(yaml.safe_dump(content))


def suggest(
    models: Path, unlabeled: Path | None, *more: str, bundle: Path = BUNDLE
) -> tuple[int, list[dict[str, str]]]:
    """The exit code, and the rows of suggestions.csv."""
    out = models.parent / "out"
    given = [] if unlabeled is None else ["--unlabeled_dir", str(unlabeled)]
    places = ["--ckpt_dir", str(models), "--out", str(out), "--cache_dir", str(models.parent / "cache")]
    code = 0
    try:
        main(["suggest", str(bundle), *given, *places, "--num_workers", "0", *more])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    file = out / "suggestions.csv"
    with file.open(newline="") if file.exists() else open("/dev/null") as opened:
        return code, list(csv.DictReader(opened))


def names(rows: list[dict[str, str]]) -> set[str]:
    return {Path(row["image"]).name for row in rows}


def origin(models: Path) -> dict:
    return json.loads((models.parent / "out" / "suggestions.json").read_text())


def images(labeled: Path) -> list[Path]:
    return sorted(labeled.rglob("*.png"), key=lambda path: int(path.stem))


def audit(bundle: str, out: Path, *more: str) -> tuple[int, list[dict[str, str]], dict]:
    """The exit code, the rows of audit.csv, and the content of audit.json."""
    code = 0
    try:
        main(["suggest", bundle, "--audit", "--out", str(out), "--num_workers", "0", *more])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    if not (out / "audit.csv").exists():
        return code, [], {}
    with (out / "audit.csv").open(newline="") as file:
        return code, list(csv.DictReader(file)), json.loads((out / "audit.json").read_text())
