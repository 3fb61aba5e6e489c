"""The commands of the lung CT and brain MRI bundles, on phantoms of volumes."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dwskd_monai.bundle import Bundle
from dwskd_monai.data.phantoms.lung_ct import lung_ct
from dwskd_monai.data.phantoms.writing import write_multiframe, write_nifti, write_series
from tests.bundles.commands import SMALL, config, run, run_dwskd, run_here
from tests.bundles.tracking import (
    TRACKING,
    check_evaluation_is_tracked,
    check_inference_is_tracked,
    check_training_is_tracked,
)
from tests.conftest import BUNDLES, on_volumes

# one process for all, so that the training that they share is run once
pytestmark = [pytest.mark.slow, on_volumes]

SIZE = ("--image_size", "32", "--num_workers", "0")


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module", params=BUNDLES[1:], ids=lambda path: path.name)
def trained(request, tmp_path_factory, volume_phantoms) -> tuple[Path, Path, str]:
    """A bundle after training, its phantoms, and what the training printed."""
    bundle = tmp_path_factory.mktemp("bundles") / request.param.name
    shutil.copytree(request.param, bundle, ignore=shutil.ignore_patterns("*.pt", "eval", "cache"))
    phantoms = volume_phantoms(bundle.name.removesuffix("_classification"))
    printed = run(
        *("run", "training", "--config_file", config("train", bundle=bundle), "--dataset_dir", phantoms),
        *("--teacher_weights", "random", "--max_epochs", "2", "--distillation_epochs", "1", *SMALL),
        *("--slices_per_study", "3", *TRACKING),
        cwd=tmp_path_factory.mktemp("anywhere"),
    )
    return bundle, phantoms, printed


def test_training_reports_studies(trained):
    bundle, _, printed = trained
    line = next(line for line in printed.splitlines() if "epoch 2/" in line)
    for name in ("balanced_accuracy", "accuracy", "macro_auc"):
        assert f" {name} 0." in line or f" {name} 1." in line
    check_training_is_tracked(bundle)
    assert (bundle / "models" / "model.pt").exists()
    assert list((bundle / "cache").rglob("*.safetensors"))


def test_evaluation_and_inference_agree_on_studies_and_slices(trained, tmp_path):
    bundle, phantoms, _ = trained
    printed = run(
        *("run", "--config_file", config("train", "evaluate", bundle=bundle), "--dataset_dir", phantoms, *SMALL),
        *("--explained", "2", *TRACKING),
        cwd=tmp_path,
    )
    printed += run(
        *("run", "--config_file", config("inference", bundle=bundle), "--dataset_dir", phantoms / "test"),
        *SIZE,
        *TRACKING,
        cwd=tmp_path,
    )
    check_evaluation_is_tracked(bundle)
    check_inference_is_tracked(bundle)
    evaluated, inferred = bundle / "eval" / "test", bundle / "eval" / "inference"
    assert len([path for path in (bundle / "cache").iterdir() if path.is_dir()]) == 1, "one set of transforms for all"
    metrics = json.loads((evaluated / "metrics.json").read_text())
    studies = read_rows(evaluated / "predictions.csv")
    slices = read_rows(evaluated / "slice_predictions.csv")
    assert metrics["study"]["overall"]["count"] == len(studies)
    assert metrics["slice"]["overall"]["count"] == len(slices) == sum(int(row["slices"]) for row in studies)
    right = np.mean([row["label"] == row["predicted"] for row in studies])
    assert metrics["study"]["overall"]["accuracy"] == pytest.approx(right)
    for name in ("predictions.csv", "slice_predictions.csv"):
        ours, theirs = (
            {(row["study"], row.get("slice")): row for row in read_rows(folder / name)}
            for folder in (evaluated, inferred)
        )
        assert set(ours) == set(theirs)
        for key, row in theirs.items():
            assert {column: ours[key][column] for column in row} == row
    assert "Phantom" not in printed


def test_volumes_are_suggested_with_the_slice_on_which_the_students_disagree_most(trained, tmp_path):
    bundle, phantoms, _ = trained
    code, printed = run_dwskd(
        *("suggest", bundle, "--unlabeled_dir", phantoms / "test", "--dataset_dir", phantoms / "train"),
        *("--count", "4", "--num_workers", "0", "--out", tmp_path / "out"),
        cwd=tmp_path,
    )
    assert code == 0, printed
    rows = read_rows(tmp_path / "out" / "suggestions.csv")
    assert len(rows) == 4
    assert all(int(row["slices"]) > 1 and 0 <= int(row["slice"]) < int(row["slices"]) for row in rows)
    run_here(
        *("run", "--config_file", config("inference", bundle=bundle), "--dataset_dir", phantoms / "test"),
        *("--output_dir", tmp_path / "predicted", *SIZE),
    )
    predicted = {row["study"]: row["predicted"] for row in read_rows(tmp_path / "predicted" / "predictions.csv")}
    assert {row["study"]: row["predicted"] for row in rows}.items() <= predicted.items()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if b"Phantom" in path.read_bytes()]


def test_no_patient_name_in_any_output(trained):
    bundle, _, printed = trained
    assert "Phantom" not in printed
    files = [path for path in bundle.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if b"Phantom" in path.read_bytes()]


@pytest.mark.parametrize("trained", BUNDLES[1:2], indirect=True, ids=lambda path: path.name)
def test_several_windows_are_channels(trained, tmp_path):
    bundle, phantoms, _ = trained
    run_here(
        *("run", "training", "--config_file", config("train", bundle=bundle), "--dataset_dir", phantoms),
        *("--windows", "[[1500,-600],[400,40]]", "--in_chans", "2", "--teacher_weights", "random"),
        *("--max_epochs", "1", "--distillation_epochs", "1", "--slices_per_study", "1", *SMALL),
        *("--ckpt_dir", tmp_path, "--output_dir", tmp_path, "--cache_dir", "null"),
    )
    assert torch.load(tmp_path / "model.pt", weights_only=True)["stem.0.weight"].shape[1] == 2
    assert not (tmp_path / "null").exists()


def test_one_study_in_three_formats_has_one_prediction(trained, tmp_path):
    bundle, _, _ = trained
    modality = "CT" if bundle.name.startswith("lung_ct") else "MR"
    volume, affine = lung_ct("covid", np.random.default_rng(5))
    volume = np.round(volume) + (0 if modality == "CT" else 1024)
    folder = tmp_path / "studies"
    folder.mkdir()
    write_nifti(volume, affine, folder / "nifti.nii.gz", "PSR")
    write_series(volume, affine, folder / "series", "P1", modality)
    write_multiframe(volume, affine, folder / "multiframe.dcm", "P1", modality)
    run_here(
        *("run", "--config_file", config("inference", bundle=bundle), "--dataset_dir", folder),
        *("--output_dir", tmp_path / "out", *SIZE),
    )
    rows = read_rows(tmp_path / "out" / "predictions.csv")
    assert sorted(Path(row["study"]).name for row in rows) == ["multiframe.dcm", "nifti.nii.gz", "series"]
    columns = Bundle(bundle).class_names
    predictions = np.array([[float(row[name]) for name in columns] for row in rows])
    assert np.abs(predictions - predictions[0]).max() <= 1e-4
    assert len({row["slices"] for row in rows}) == 1
    slices = read_rows(tmp_path / "out" / "slice_predictions.csv")
    values = np.array([[float(row[name]) for name in columns] for row in slices]).reshape(3, -1, len(columns))
    assert np.abs(values - values[0]).max() <= 1e-4
    assert values[0].std(0).max() > 1e-4, "slices differ"


def test_a_broken_study_is_listed_and_the_others_are_predicted(trained, tmp_path):
    bundle, phantoms, _ = trained
    folder = tmp_path / "studies"
    folder.mkdir()
    first, second = sorted(path for path in (phantoms / "test").rglob("*.nii.gz"))[:2]
    shutil.copy(first, folder / "a.nii.gz")
    (folder / "b.nii.gz").write_bytes(second.read_bytes()[:2000])
    printed = run(
        *("run", "--config_file", config("inference", bundle=bundle), "--dataset_dir", folder),
        *("--output_dir", tmp_path / "out", "--batch_size", "1", *SIZE),
        cwd=tmp_path,
        expect=1,
    )
    assert (
        printed.rstrip().splitlines()[-1].startswith("error: 1 image was refused (1 damaged), all others were used; ")
    )
    (refused,) = read_rows(tmp_path / "out" / "refused.csv")
    assert refused["path"] == str(folder / "b.nii.gz")
    rows = read_rows(tmp_path / "out" / "predictions.csv")
    assert [Path(row["study"]).name for row in rows] == ["a.nii.gz"]
