"""A packed bundle in a new environment that has monai and timm, with what they need, and nothing of ours."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from dwskd_monai.commands.pack.command import pack
from dwskd_monai.commands.pack.unpack import unpack
from tests.bundles.commands import SMALL_SETTINGS, run, save_network
from tests.conftest import BUNDLES, tiny_convnext
from tests.integration.environment import new_environment

LOAD = """
import sys, monai.bundle
network = monai.bundle.load(sys.argv[1], bundle_dir=sys.argv[2], device="cpu")
print(type(network).__name__, sum(parameter.numel() for parameter in network.parameters()))
"""


@pytest.fixture(scope="session")
def python(tmp_path_factory) -> Path:
    """Python of the new environment."""
    folder = tmp_path_factory.mktemp("alone")
    file = new_environment(folder, "monai[ignite,fire,nibabel]", "timm")
    found = subprocess.run([file, "-c", "import dwskd_monai"], cwd=folder, capture_output=True, check=False)
    assert found.returncode != 0
    return file


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_it_predicts_what_the_bundle_predicts_and_monai_loads_it(bundle, python, tmp_path):
    outputs = json.loads((bundle / "configs" / "metadata.json").read_text())["network_data_format"]["outputs"]
    network = tiny_convnext(num_classes=outputs["pred"]["num_channels"])
    models = save_network(network, tmp_path / "models", bundle, **SMALL_SETTINGS)
    pack(str(bundle), str(tmp_path / "x.zip"), ckpt_dir=str(models), num_workers=0)
    unpacked = unpack(tmp_path / "x.zip", tmp_path)
    predictions = []
    for name, launcher, config in (
        ("before", sys.executable, bundle / "configs" / "inference.yaml"),
        ("after", str(python), unpacked / "configs" / "inference.json"),
    ):
        run(
            *("run", "--config_file", config, "--dataset_dir", unpacked / "sample"),
            *("--ckpt_dir", unpacked / "models", "--output_dir", tmp_path / name, "--num_workers", "0"),
            cwd=tmp_path,
            launcher=(launcher,),
        )
        with (tmp_path / name / "predictions.csv").open(newline="") as rows:
            predictions.append(list(csv.reader(rows)))
    assert predictions[0] == predictions[1]
    command = [python, "-W", "ignore", "-c", LOAD, bundle.name, tmp_path]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    size = sum(parameter.numel() for parameter in network.parameters())
    assert printed.splitlines()[-1] == f"ConvNeXt {size}"
