from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from dwskd_monai.data.phantoms import MODALITIES, make_phantoms
from dwskd_monai.data.phantoms.brain_mri import brain_mri
from dwskd_monai.data.phantoms.chest_xray import CLASSES, chest_xray
from dwskd_monai.data.phantoms.lung_ct import lung_ct
from dwskd_monai.reading import read_image
from tests.conftest import on_volumes


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "datalist.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@on_volumes
@pytest.mark.slow
@pytest.mark.parametrize("modality", list(MODALITIES))
def test_same_seed_same_bytes(tmp_path, modality, phantoms, volume_phantoms):
    first = phantoms if modality == "chest_xray" else volume_phantoms(modality)
    again = make_phantoms(modality, tmp_path, count=MODALITIES[modality].LEAST).parent
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(files) > MODALITIES[modality].LEAST
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert all((first / file).read_bytes() == (again / file).read_bytes() for file in files)


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
        assert {row["label"] for row in rows(phantoms) if row["split"] == split} == set(CLASSES)


@pytest.mark.slow
def test_classes_differ_by_what_the_lungs_show_and_not_by_brightness():
    rng = np.random.default_rng(1)
    labels = np.arange(180) % 3
    images = [chest_xray(CLASSES[label], rng) for label in labels]
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


@on_volumes
@pytest.mark.slow
@pytest.mark.parametrize("modality", ["lung_ct", "brain_mri"])
def test_volumes_patients_and_splits(volume_phantoms, modality):
    folder, maker = volume_phantoms(modality), MODALITIES[modality]
    patients = defaultdict(set)
    counts: Counter[str] = Counter()
    for row in rows(folder):
        assert (folder / row["image"]).parts[-3:-1] == (row["split"], row["label"])
        patients[row["patient"]].add((row["split"], row["label"]))
        counts[row["patient"]] += 1
    assert all(len(where) == 1 for where in patients.values()), "a patient has one class and one split"
    assert set(counts.values()) == {1, 2}, "some patients have several studies"
    assert {where for place in patients.values() for where in place} == {
        (split, name) for split in ("train", "test") for name in maker.CLASSES
    }


@on_volumes
@pytest.mark.slow
def test_lung_ct_has_three_formats_in_hounsfield_units(volume_phantoms):
    kinds: Counter[str] = Counter()
    folder = volume_phantoms("lung_ct")
    for row in rows(folder)[:18]:
        path = folder / row["image"]
        study = read_image(path, "axial")
        kinds["series" if path.is_dir() else path.suffix] += 1
        assert study.pixels.min() == -1024
        assert np.percentile(study.pixels, 1) < -900, "air"
        assert -30 < np.percentile(study.pixels, 90) < 150, "soft tissue"
        if path.suffix == ".dcm":
            assert pydicom.dcmread(path).PatientID == row["patient"]
    assert kinds == {".gz": 9, "series": 6, ".dcm": 3}


@on_volumes
@pytest.mark.slow
def test_brain_mri_has_planes_orientations_and_scales(volume_phantoms):
    planes, codes, largest = Counter(), set(), []
    folder = volume_phantoms("brain_mri")
    for row in rows(folder)[:30]:
        path = folder / row["image"]
        study = read_image(path)
        planes[study.plane] += 1
        codes.add("".join(nibabel.aff2axcodes(nibabel.load(path).affine)))
        largest.append(study.pixels.max())
        assert study.spacing[0] > 1.5 * max(study.spacing[1:])
    assert planes == {"axial": 10, "coronal": 10, "sagittal": 10}
    assert len(codes) == 5
    assert max(largest) > 3 * min(largest)


def test_lung_ct_classes_differ_by_ground_glass_in_both_lungs():
    rng = np.random.default_rng(1)

    def least_ground_glass(name: str) -> float:
        volume, _ = lung_ct(name, rng)
        return min(float(np.mean((side > -700) & (side < -400))) for side in np.array_split(volume, 2))

    covid = [least_ground_glass("covid") for _ in range(8)]
    others = [least_ground_glass("non_covid") for _ in range(8)]
    assert min(covid) > max(others)


@pytest.mark.slow
def test_a_brain_mri_tumour_is_brighter_than_the_head():
    rng = np.random.default_rng(1)

    def contrast(name: str) -> float:
        volume, _ = brain_mri(name, rng, across=int(rng.integers(3)))
        return float(np.percentile(volume, 99.95) / np.percentile(volume, 90))

    healthy = [contrast("no_tumor") for _ in range(9)]
    for name in ("glioma", "meningioma", "pituitary"):
        assert np.median([contrast(name) for _ in range(9)]) > max(healthy), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("knee_mri",), "modality must be one of chest_xray, lung_ct, brain_mri; got 'knee_mri'"),
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
