"""One bad file does not cost the others: the commands of a bundle over folders in which some images are broken."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from dwskd_monai.bundle.errors import cause_of
from dwskd_monai.bundle.settings_file import read_settings
from dwskd_monai.data.refused import RefusedImagesError
from dwskd_monai.reading import RefusedImage
from tests.bundles.commands import SMALL_SETTINGS, as_options, config, run, run_here, save_network
from tests.conftest import BUNDLE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    network = timm.create_model(
        "convnext_atto",
        in_chans=1,
        num_classes=3,
        dims=SMALL_SETTINGS["network_def#dims"],
        depths=SMALL_SETTINGS["network_def#depths"],
    )
    nn.init.normal_(network.head.fc.weight)
    return save_network(network, tmp_path_factory.mktemp("network") / "models", **SMALL_SETTINGS)


@pytest.fixture
def data(phantoms, tmp_path) -> Path:
    """Phantoms of which one test image is cut off, and one image of each split of the training."""
    folder = tmp_path / "data"
    shutil.copytree(phantoms, folder)
    for path in (*sorted((folder / "test").rglob("*.png"))[:1], *sorted((folder / "train").rglob("*.png"))[:3]):
        path.write_bytes(path.read_bytes()[:300])
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def predict(models: Path, dataset_dir: Path, out: Path, **options: object) -> None:
    given = as_options({"ckpt_dir": str(models), "dataset_dir": str(dataset_dir), "output_dir": str(out), **options})
    run_here("run", "--config_file", config("inference"), *given)


def test_inference_predicts_the_others_and_ends_with_exit_code_3(models, phantoms, data, tmp_path):
    predict(models, phantoms / "test", tmp_path / "whole", num_workers=0)
    options = ("--ckpt_dir", models, "--dataset_dir", data / "test", "--output_dir", tmp_path / "out")
    printed = run("run", "--config_file", config("inference"), *options, cwd=tmp_path, expect=3)
    assert printed.splitlines()[-1] == (
        f"error: 1 image was refused (1 damaged), all others were used; {tmp_path}/out/refused.csv says why"
    )
    assert "Traceback" not in printed
    (bad,) = rows(tmp_path / "out" / "refused.csv")
    expected = [
        row | {"study": row["study"].replace(str(phantoms), str(data))}
        for row in rows(tmp_path / "whole" / "predictions.csv")
    ]
    predicted = rows(tmp_path / "out" / "predictions.csv")
    assert [row["study"] for row in predicted] == [row["study"] for row in expected if row["study"] != bad["path"]]
    assert json.loads((tmp_path / "out" / "predictions.json").read_text())["refused_images"] == 1


@pytest.mark.parametrize("num_workers", [0, 3])
def test_rows_are_in_the_order_of_the_listing(models, phantoms, tmp_path, num_workers):
    predict(models, phantoms / "test", tmp_path / "out", num_workers=num_workers, batch_size=1)
    studies = [row["study"] for row in rows(tmp_path / "out" / "predictions.csv")]
    assert studies == sorted(studies, key=Path)
    assert len(studies) > 5


def test_strict_stops_at_the_first(models, data, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.csv").write_text("of an earlier run")
    with pytest.raises(RuntimeError) as caught:
        predict(models, data / "test", tmp_path / "out", strict=True, num_workers=0)
    assert isinstance(cause_of(caught.value), RefusedImage)
    assert not (tmp_path / "out" / "predictions.csv").exists()
    assert (tmp_path / "out" / "predictions.previous.csv").read_text() == "of an earlier run"


def test_no_prediction_is_an_error(models, data, tmp_path):
    only = tmp_path / "only"
    only.mkdir()
    shutil.copy(next(path for path in sorted((data / "test").rglob("*.png")) if path.stat().st_size == 300), only)
    with pytest.raises(RuntimeError) as caught:
        predict(models, only, tmp_path / "out", num_workers=0)
    expected = f"0 predictions: all images were refused (1); {tmp_path}/out/refused.csv says why"
    assert str(cause_of(caught.value)) == expected
    assert (tmp_path / "out" / "refused.csv").is_file()


def test_evaluation_measures_the_others_and_says_how_many_were_refused(models, data, tmp_path):
    options = as_options(
        {"ckpt_dir": str(models), "dataset_dir": str(data), "output_dir": str(tmp_path / "out"), "explained": 0}
    )
    next((data / "train").iterdir()).joinpath("scan.mha").write_bytes(b"of another split")
    with pytest.raises(RuntimeError) as caught:
        run_here("run", "--config_file", config("train", "evaluate"), *options, "--cache_dir", tmp_path / "cache")
    assert isinstance(cause_of(caught.value), RefusedImagesError)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["refused_images"] == 1
    assert metrics["study"]["overall"]["count"] == len(rows(tmp_path / "out" / "predictions.csv"))
    assert len(rows(tmp_path / "out" / "refused.csv")) == 1


def test_training_lists_all_broken_images_of_both_splits_or_goes_on_without_them(data, tmp_path):
    bundle = tmp_path / BUNDLE.name
    shutil.copytree(BUNDLE, bundle, ignore=shutil.ignore_patterns("*.pt", "eval", "cache"))
    settings = {
        **SMALL_SETTINGS,
        "dataset_dir": str(data),
        "max_epochs": 1,
        "min_steps": 0,
        "auxiliary": "none",
        "teacher_weights": "random",
        "first_weights#_disabled_": True,
        "folds": 2,
    }
    arguments = ("run", "training", "--config_file", config("train", bundle=bundle), *as_options(settings))
    printed = run(*arguments, cwd=tmp_path, expect=2)
    assert "error: 3 images cannot be used:" in printed
    broken = rows(bundle / "eval" / "refused.csv")
    assert len(broken) == 3
    assert all(row["path"] in printed for row in broken)
    assert not (bundle / "models" / "model.pt").exists()
    printed = run(*arguments, "--skip_refused", "true", cwd=tmp_path)
    assert "training without 3 images that cannot be used" in printed
    refused = read_settings(bundle / "models" / "model.pt").origin["refused_images"]
    assert sum(refused.values()) == 3


def test_a_number_sign_in_a_path_of_images_is_kept_and_in_another_refused(models, phantoms, tmp_path):
    folder = tmp_path / "a#b"
    shutil.copytree(phantoms / "test", folder)
    predict(models, folder, tmp_path / "out", num_workers=0)
    assert str(folder) in rows(tmp_path / "out" / "predictions.csv")[0]["study"]
    with pytest.raises(RuntimeError) as caught:
        predict(models, phantoms / "test", tmp_path / "c#d", num_workers=0)
    assert "output_dir: MONAI cannot take" in str(cause_of(caught.value))
