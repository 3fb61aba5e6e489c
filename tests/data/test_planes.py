"""In which plane images were cut: known from their files, kept in the cache, and given with each slice."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from monai.data import DataLoader
from monai.transforms import Compose, EnsureTyped
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from dwskd_monai.data.slices import SliceDataset
from dwskd_monai.data.stream import SliceStream
from dwskd_monai.preprocessing.transforms import FitSlicesd, LoadSlicesd

SPACINGS = {"sagittal": (4.0, 1.0, 1.0), "coronal": (1.0, 4.0, 1.0), "axial": (1.0, 1.0, 4.0), "isotropic": (1.0,) * 3}
PLANES = ["sagittal", "coronal", "axial", "axial", "unknown"]


@pytest.fixture
def items(tmp_path) -> list[dict[str, str]]:
    """Volumes with their thickest axis across each plane, one without such an axis, and a picture."""
    rng = np.random.default_rng(0)
    for name, spacing in SPACINGS.items():
        pixels = rng.integers(0, 999, (6, 7, 8)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(pixels, np.diag([*spacing, 1.0])), tmp_path / f"{name}.nii.gz")
    Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(tmp_path / "picture.png")
    return [{"image": str(tmp_path / name)} for name in [*(f"{name}.nii.gz" for name in SPACINGS), "picture.png"]]


def preparing() -> Compose:
    return Compose(
        [LoadSlicesd(keys="image"), FitSlicesd(keys="image", spatial_size=4), EnsureTyped("image", track_meta=False)]
    )


def test_a_dataset_counts_its_images_of_each_plane_read_or_kept(tmp_path, items, monkeypatch):
    expected = {"axial": 2, "sagittal": 1, "coronal": 1, "unknown": 1}
    dataset = SliceDataset(items, preparing(), progress=False)
    assert dataset.planes() == expected
    assert next(iter(dataset.planes())) == "axial", "the most frequent is first"
    assert SliceDataset(items, preparing(), cache_dir=tmp_path / "cache", progress=False).planes() == expected
    monkeypatch.setattr("dwskd_monai.preprocessing.transforms.read_image", lambda *_: pytest.fail("a file was decoded"))
    assert SliceDataset(items, preparing(), cache_dir=tmp_path / "cache", progress=False).planes() == expected


def test_entries_of_a_version_that_did_not_keep_the_plane_are_read_again(tmp_path, items):
    def of_the_dataset() -> dict[str, int]:
        return SliceDataset(items, preparing(), cache_dir=tmp_path / "cache", progress=False).planes()

    expected = of_the_dataset()
    entries = sorted((tmp_path / "cache").rglob("*.safetensors"))
    for entry in entries:
        without_plane(entry)
    assert of_the_dataset() == expected
    assert sorted((tmp_path / "cache").rglob("*.safetensors")) == entries, "at the places of the old ones"


def without_plane(entry: Path) -> None:
    with safe_open(entry, "pt") as file:
        described = file.metadata()
        volume = file.get_tensor("image")
    del described["plane"]
    save_file({"image": volume.clone()}, entry, described)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_each_slice_has_the_plane_of_its_image(items, num_workers):
    one_study = [{**item, "study": "S"} for item in items]
    loader = DataLoader(SliceStream(one_study, preparing()), batch_size=1, num_workers=num_workers)
    planes = [plane for batch in loader for plane in batch["plane"]]
    lengths = [6, 7, 8, 8, 1]
    assert planes == [plane for plane, length in zip(PLANES, lengths) for _ in range(length)]
    assert [item["plane"] for item in SliceDataset(one_study, preparing(), progress=False)] == planes


def test_transforms_that_do_not_tell_the_plane_leave_it_unknown(items):
    own = Compose([*preparing().transforms, lambda item: {"image": item["image"]}])
    assert SliceDataset(items, own, progress=False).planes() == {"unknown": 5}
