"""Adding a modality as CONTRIBUTING.md tells it, in a folder of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dwskd_monai.bundle.render import RENDERED, TEMPLATE, render
from tests.bundles.commands import SMALL, config, run
from tests.conftest import BUNDLE, BUNDLES

pytestmark = pytest.mark.slow

CLASSES = ("benign", "malignant")


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """A folder of our bundles, to which breast ultrasound was added, in a template of its own."""
    folder = tmp_path / "bundles"
    shutil.copytree(BUNDLE.parent, folder, ignore=shutil.ignore_patterns("*.pt", "eval", "cache"))
    headers = shutil.copytree(TEMPLATE, tmp_path / "template") / "headers"
    header = (headers / "chest_xray_classification.yaml").read_text()
    name = "breast_ultrasound_classification"
    (headers / f"{name}.yaml").write_text(
        header.replace("data/chest_xray", "data/breast_ultrasound").replace("num_classes: 3", "num_classes: 2")
    )
    (headers / f"{name}.md").write_text("# Breast ultrasound classification by DWS-SKD\n\n")
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    pred = metadata["network_data_format"]["outputs"]["pred"]
    pred |= {"num_channels": 2, "channel_def": dict(zip("01", CLASSES))}
    (folder / name / "configs").mkdir(parents=True)
    (folder / name / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return folder


def test_a_fourth_modality_is_a_header_a_page_and_metadata(bundles, tmp_path):
    written = render(bundles, template=tmp_path / "template")
    bundle = bundles / "breast_ultrasound_classification"
    assert sorted(written) == sorted(bundle / name for name in RENDERED), "the others are as they were"
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(10):
            noise = rng.integers(0, 100 if name == "benign" else 255, (40, 40)).astype(np.uint8)
            Image.fromarray(noise).save(tmp_path / "data" / name / f"{index}.png")
    run(
        *("run", "training", "--config_file", config("train", bundle=bundle), "--dataset_dir", tmp_path / "data"),
        *("--teacher_weights", "random", "--max_epochs", "1", "--distillation_epochs", "1", *SMALL),
        cwd=tmp_path,
    )
    assert (bundle / "models" / "model.pt").exists()
    assert {path.name for path in bundle.iterdir()} >= {path.name for path in BUNDLES[0].iterdir() if path.is_file()}
