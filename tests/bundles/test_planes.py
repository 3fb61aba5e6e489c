"""A training on axial volumes; whatever uses its network says when slices of another plane come."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from dwskd_monai.commands.pack.command import pack
from dwskd_monai.commands.pack.unpack import unpack
from dwskd_monai.data.phantoms.brain_mri import CLASSES, brain_mri
from dwskd_monai.data.phantoms.writing import write_nifti
from tests.bundles.commands import SMALL, SMALL_STUDENT, config, run, run_here
from tests.commands.pack.test_pack import alone
from tests.conftest import BUNDLES

# one process for all, so that the training that they share is run once
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("planes")]

SAID = "studies have sagittal slices ("
TRAINED_ON = "but the network was trained on images of other planes (8 axial): do not rely on their predictions"


def write_volumes(folder: Path, count: int, across: int, seed: int) -> Path:
    """Volumes of each class with thick slices across an axis, 0 for sagittal ones, 2 for axial ones."""
    rng = np.random.default_rng(seed)
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            volume, affine = brain_mri(name, rng, across)
            write_nifti(volume, affine, folder / name / f"across{across}_{number}.nii.gz", "LPS")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """A bundle after a training, and labeled volumes with axial and sagittal ones to test on."""
    folder = tmp_path_factory.mktemp("planes")
    bundle = folder / BUNDLES[2].name
    shutil.copytree(BUNDLES[2], bundle, ignore=shutil.ignore_patterns("*.pt", "eval", "cache"))
    data = folder / "data"
    write_volumes(data / "train", 4, 2, seed=0)
    write_volumes(data / "test", 1, 2, seed=1)
    write_volumes(data / "test", 2, 0, seed=2)
    training = ("run", "training", "--config_file", config("train", bundle=bundle), "--dataset_dir", data)
    options = ("--teacher_weights", "random", "--max_epochs", "1", "--folds", "2", "--slices_per_study", "2")
    assert "sagittal" not in run(*training, *options, *SMALL, cwd=folder)
    return bundle, data


def unusual(file: Path) -> dict[str, int]:
    return json.loads(file.read_text())["unusual_planes"]


def test_the_trained_settings_have_the_planes_of_the_training_images(trained):
    bundle, _ = trained
    assert yaml.safe_load((bundle / "models" / "model.yaml").read_text())["training"]["planes"] == {"axial": 8}


def test_inference_says_once_which_studies_are_in_another_plane(trained, tmp_path):
    bundle, data = trained
    printed = run(
        *("run", "--config_file", config("inference", bundle=bundle), "--dataset_dir", data / "test"),
        *("--output_dir", tmp_path, "--num_workers", "2"),
        cwd=tmp_path,
    )
    (line,) = [line for line in printed.splitlines() if SAID in line]
    assert f"WARNING 8 {SAID}" in line
    assert line.count("across0_") == 5
    assert line.endswith(f" and 3 more), {TRAINED_ON}")
    assert "across2_" not in line
    assert unusual(tmp_path / "predictions.json") == {"sagittal": 8}


def warnings_of_inference(caplog: pytest.LogCaptureFixture, *options: str | Path) -> list[str]:
    caplog.clear()
    run_here("run", *options, "--num_workers", "0")
    said = [record for record in caplog.records if record.name.startswith("dwskd_monai.")]
    return [record.getMessage() for record in said if record.levelname == "WARNING"]


def test_volumes_of_the_same_plane_are_predicted_without_a_word(trained, tmp_path, caplog):
    bundle, data = trained
    options = ("--config_file", config("inference", bundle=bundle), "--output_dir", tmp_path)
    assert warnings_of_inference(caplog, *options, "--dataset_dir", data / "train") == []
    assert unusual(tmp_path / "predictions.json") == {}


def test_settings_without_planes_say_nothing(trained, tmp_path, caplog):
    """As an earlier version wrote them."""
    bundle, data = trained
    for name in ("model.pt", "model.yaml"):
        shutil.copy(bundle / "models" / name, tmp_path)
    text = (tmp_path / "model.yaml").read_text()
    assert text.count("  planes: {axial: 8}\n") == 1
    (tmp_path / "model.yaml").write_text(text.replace("  planes: {axial: 8}\n", ""))
    options = (
        "--config_file",
        config("inference", bundle=bundle),
        "--output_dir",
        tmp_path,
        "--dataset_dir",
        data / "test",
    )
    assert warnings_of_inference(caplog, *options, "--ckpt_dir", tmp_path) == []
    assert unusual(tmp_path / "predictions.json") == {}


@pytest.mark.parametrize("overlay", [(), ("combine_students",)])
def test_an_evaluation_of_one_student_or_both_says_it_too(trained, tmp_path, overlay):
    """The volumes are read in the first evaluation, and kept for the second one."""
    bundle, data = trained
    configs = config("train", "evaluate", *overlay, bundle=bundle)
    options = ("--dataset_dir", data, "--output_dir", tmp_path, "--num_workers", "0", *SMALL_STUDENT)
    options += ("--explained", "0")
    printed = run("run", "--config_file", configs, *options, cwd=tmp_path)
    (line,) = [line for line in printed.splitlines() if SAID in line]
    assert f"WARNING 8 {SAID}" in line
    assert line.endswith(TRAINED_ON)
    assert unusual(tmp_path / "metrics.json") == {"sagittal": 8}


def test_a_packed_bundle_says_it_without_this_package(trained, tmp_path):
    bundle, data = trained
    pack(str(bundle), str(tmp_path / "x.zip"), num_workers=0)
    unpacked = unpack(tmp_path / "x.zip", tmp_path)
    packed = ("run", "--config_file", unpacked / "configs" / "inference.json", "--dataset_dir", data / "test")
    result = alone(*packed, "--output_dir", tmp_path / "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    (line,) = [line for line in (result.stdout + result.stderr).splitlines() if SAID in line]
    assert line.endswith(TRAINED_ON)
    assert unusual(tmp_path / "out" / "predictions.json") == {"sagittal": 8}
