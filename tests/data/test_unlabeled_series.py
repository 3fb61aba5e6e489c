"""The folder of a DICOM series may be that of its patient, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from monai.transforms import Compose

from dwskd_monai.data import RefusedImages, SliceDataset, load_split, open_unlabeled
from dwskd_monai.data.phantoms.writing import write_series
from dwskd_monai.preprocessing import FitSlicesd, LoadSlicesd, ScalePercentilesd

CLASSES = ["ill", "well"]
TRANSFORM = Compose([LoadSlicesd("image"), FitSlicesd("image", 64), ScalePercentilesd("image")])


@pytest.fixture
def root(tmp_path) -> Path:
    """Labeled series of patients, whom folders name alone: two for training, one for validation and one for test."""
    for number, folder in enumerate(("train/ill/A", "train/well/B", "val/ill/C", "test/well/D")):
        write_scan(tmp_path / "labeled" / folder / "scan1", number)
    return tmp_path


def write_scan(folder: Path, number: int) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    volume = np.random.default_rng(number).integers(0, 1000, (16, 16, 2)).astype(float)
    write_series(volume, np.eye(4), folder, "", "CT")


def left_out(root: Path, **options: object) -> set[str]:
    """Folders of images without labels that are not learned from."""
    training, validation = (
        SliceDataset(load_split(root / "labeled", CLASSES, split, dicom_patients=False), TRANSFORM, progress=False)
        for split in ("training", "validation")
    )
    kept = open_unlabeled(
        root / "unlabeled", training, validation, TRANSFORM, root / "labeled", CLASSES,
        RefusedImages(root / "refused.csv"), dicom_patients=False, **options,
    )  # fmt: skip
    assert kept is not None
    names = {str(Path(item["image"]).relative_to(root / "unlabeled")) for item in kept.data}
    folders = {str(path.parent.relative_to(root / "unlabeled")) for path in root.glob("unlabeled/**/*.dcm")}
    return folders - names


@pytest.mark.parametrize("folder_patients", [True, False])
def test_a_series_in_the_folder_of_a_held_out_patient_is_of_that_patient(root, folder_patients):
    for number, patient in enumerate("ACDE"):
        write_scan(root / "unlabeled" / patient, 10 + number)
    assert left_out(root, folder_patients=folder_patients) == ({"C", "D"} if folder_patients else set())


@pytest.mark.parametrize(
    ("held_out", "expected"),
    [
        (["P0"], {"P0/scan1", "P0/scan2"}),
        (["site1/P0"], {"P0/scan1", "P0/scan2"}),
        (["P0/scan1", "P1/scan1"], {"P0/scan1", "P0/scan2", "P1/scan1"}),
        (["site1/P7", "site2/P8"], set()),
    ],
)
def test_so_is_a_held_out_series_if_no_other_has_its_name(root, held_out, expected):
    for number, folder in enumerate(("P0/scan1", "P0/scan2", "P1/scan1", "P2/scan1")):
        write_scan(root / "unlabeled" / folder, 10 + number)
    for number, folder in enumerate(held_out):
        write_scan(root / "held" / folder, 20 + number)
    assert left_out(root, held_out_dir=root / "held") == expected
