"""Label maps are refused by what their header or their values say; images of few gray values are not."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from dwskd_monai.data.phantoms.writing import write_series
from dwskd_monai.preprocessing import LoadSlicesd
from dwskd_monai.reading import RefusedImage, read_image

SHAPE = (48, 56, 6)


def save(path: Path, pixels: NDArray, intent: int = 0, name: str = "") -> Path:
    image = nibabel.Nifti1Image(pixels, np.diag([1.0, 1.0, 3.0, 1.0]))
    image.header["intent_code"] = intent
    image.header["intent_name"] = name.encode()
    nibabel.save(image, path)
    return path


def head(shape: tuple[int, int, int] = SHAPE) -> NDArray[np.float64]:
    """0 to 1: a head with two tissues, as noisy as a scan, in the air."""
    x, y, _ = np.meshgrid(*(np.linspace(-1.2, 1.2, size) for size in shape), indexing="ij")
    radius = np.hypot(x, y)
    tissue = np.where(radius < 0.5 + 0.1 * np.sin(5 * np.arctan2(y, x)), 0.7, 0.45) * (radius < 1)
    noise = np.random.default_rng(0).normal(0, 0.04, shape)
    return np.clip(np.abs(tissue + noise), 0, 1)


def labels(count: int, shape: tuple[int, int, int] = SHAPE) -> NDArray[np.int16]:
    """So many organs in the air: each pixel is of the one whose seed is nearest."""
    rng = np.random.default_rng(0)
    seeds = rng.uniform(0, shape, (count, 3))
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    nearest = ((grid[..., None, :] - seeds) ** 2).sum(-1).argmin(-1)
    return np.where(head(shape) > 0.3, 1 + nearest, 0).astype(np.int16)


@pytest.mark.parametrize(
    "intent", [2, 5, 22, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 2003, 2005, 3007], ids=lambda code: f"intent {code}"
)
def test_what_its_header_says_to_be_no_image_is_refused(tmp_path, intent):
    path = save(tmp_path / "x.nii.gz", head() * 1000, intent)
    with pytest.raises(
        RefusedImage, match=rf"x.nii.gz: intent_code is {intent} \(.+\); expected an image \(0\)"
    ) as caught:
        read_image(path)
    assert caught.value.kind == "format"


@pytest.mark.parametrize("intent", [0, 1011, 2001, 777])
def test_other_codes_say_nothing(tmp_path, intent):
    pixels = (head() * 1000).astype(np.int16)
    assert read_image(save(tmp_path / "x.nii.gz", pixels, intent), "axial").pixels.max() == pixels.max()


def test_a_map_that_says_so_is_judged_as_one(tmp_path):
    path = save(tmp_path / "x.nii.gz", head() * 1000, name="adc")
    assert read_image(path).says == {"image_type": "ADC"}
    with pytest.raises(RefusedImage, match="image type is ADC; this network is not for such images") as caught:
        LoadSlicesd("image", unexpected={"image_type": ["ADC"]})({"image": path})
    assert caught.value.kind == "unexpected"
    taken = LoadSlicesd("image", unexpected={"image_type": ["ADC"]}, accept=["image_type=ADC"])({"image": path})
    assert taken["image"].shape == (1, 6, 56, 48)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("count", [3, 7, 20, 60])
def test_labels_are_told_by_their_values(tmp_path, count, dtype):
    found = labels(count)
    path = save(tmp_path / "x.nii.gz", found.astype(dtype))
    values = len(np.unique(found))
    with pytest.raises(RefusedImage, match=rf"x.nii.gz: its pixels have {values} (whole )?values, 0 to \d+") as caught:
        read_image(path)
    assert "labels of a segmentation" in caught.value.reason
    assert caught.value.kind == "content"


def test_labels_whose_numbers_are_far_apart_are_told_too(tmp_path):
    names = np.concatenate([[0], np.random.default_rng(1).choice(np.arange(1, 12175), 30, replace=False)])
    with pytest.raises(RefusedImage, match="labels of a segmentation"):
        read_image(save(tmp_path / "x.nii.gz", names[labels(30)].astype(np.int32)))


def test_one_slice_and_a_dicom_series_of_labels_are_told_too(tmp_path):
    with pytest.raises(RefusedImage, match="labels of a segmentation"):
        read_image(save(tmp_path / "x.nii.gz", labels(20)[:, :, 3]))
    write_series(labels(4), np.diag([1.0, 1.0, 3.0, 1.0]), tmp_path / "series", "P1", "MR")
    with pytest.raises(RefusedImage, match="series: its pixels have 5 values, 0 to 4: labels of a segmentation"):
        read_image(tmp_path / "series")


@pytest.mark.parametrize("levels", [16, 32, 64, 128, 256])
@pytest.mark.parametrize("part", ["volume", "slice", "crop"])
def test_an_image_of_few_gray_values_is_read(tmp_path, levels, part):
    pixels = np.floor(head() * (levels - 1e-6)).astype(np.uint8)
    pixels = {"volume": pixels, "slice": pixels[:, :, :1], "crop": pixels[10:30, 5:25]}[part]
    image = read_image(save(tmp_path / "x.nii.gz", pixels), "axial")
    assert np.array_equal(image.pixels, pixels.transpose(2, 1, 0)[:, ::-1, ::-1])


def test_saturated_areas_are_no_labels(tmp_path):
    pixels = np.clip(np.floor((head() - 0.35) * 600), 0, 100).astype(np.uint8)
    assert (pixels == 100).mean() > 0.1
    assert read_image(save(tmp_path / "x.nii.gz", pixels)).pixels.max() == 100
