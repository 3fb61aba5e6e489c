from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from dwskd_monai.data.phantoms import CHEST_XRAY_CLASSES, chest_xray, make_phantoms


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "datalist.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_same_seed_same_bytes(phantoms, tmp_path):
    again = make_phantoms("chest_xray", tmp_path / "again", count=60).parent
    files = sorted(path.relative_to(phantoms) for path in phantoms.rglob("*") if path.is_file())
    assert len(files) == 61
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert all((phantoms / file).read_bytes() == (again / file).read_bytes() for file in files)


def test_formats_patients_and_splits(phantoms):
    kinds: Counter[str] = Counter()
    patients = defaultdict(set)
    for row in rows(phantoms):
        path = phantoms / row["image"]
        assert path.parts[-3:-1] == (row["split"], row["label"])
        patients[row["patient"]].add((row["split"], row["label"]))
        if path.suffix == ".dcm":
            dataset = pydicom.dcmread(path)
            kinds[dataset.PhotometricInterpretation] += 1
            assert dataset.PatientID == row["patient"]
        else:
            with Image.open(path) as image:
                kinds[image.mode] += 1
    assert kinds == {"L": 30, "I;16": 15, "MONOCHROME1": 7, "MONOCHROME2": 8}
    assert all(len(where) == 1 for where in patients.values()), "a patient has one class and one split"
    assert max(Counter(row["patient"] for row in rows(phantoms)).values()) > 1
    for split in ("train", "test"):
        assert {row["label"] for row in rows(phantoms) if row["split"] == split} == set(CHEST_XRAY_CLASSES)


def test_classes_differ_by_what_the_lungs_show_and_not_by_brightness():
    rng = np.random.default_rng(1)
    labels = np.arange(180) % 3
    images = [chest_xray(CHEST_XRAY_CLASSES[label], rng) for label in labels]
    brightness = np.array([[image.mean(), image.std()] for image in images])
    assert np.allclose(brightness, [0, 1]), "brightness and contrast carry nothing"

    def texture_of_both_lungs(image: np.ndarray) -> np.ndarray:
        height, width = image.shape
        energy = (gaussian_filter(image, 0.5) - gaussian_filter(image, 2)) ** 2
        rows = slice(height // 4, height * 3 // 4)
        sides = [energy[rows, int(a * width) : int(b * width)] for a, b in ((0.14, 0.4), (0.6, 0.86))]
        quantiles = [np.log(np.quantile(side, (0.5, 0.75, 0.9, 0.97))) for side in sides]
        return np.sort(quantiles, axis=0).ravel()

    features = np.array([texture_of_both_lungs(image) for image in images])
    features = (features - features.mean(0)) / features.std(0)
    assert cross_val_score(LogisticRegression(max_iter=5000), features, labels, cv=5).mean() > 0.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("knee_mri",), "modality must be one of chest_xray; got 'knee_mri'"),
        (("chest_xray", 10), "count must be at least"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    modality, *count = arguments
    with pytest.raises(ValueError, match=message):
        make_phantoms(modality, tmp_path / "new", *count)
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(FileExistsError, match="is not empty"):
        make_phantoms("chest_xray", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
