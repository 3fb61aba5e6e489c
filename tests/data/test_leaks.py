"""Validation images that are changed copies of training images, in the datasets of a training."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from monai.transforms import Compose
from PIL import Image, ImageOps

from dwskd_monai.data import SliceDataset, warn_near_copies
from dwskd_monai.preprocessing import FitSlicesd, LoadSlicesd, ScalePercentilesd
from tests.data.test_near_copies import smooth


@pytest.fixture
def pictures(tmp_path):
    for number, picture in enumerate(smooth(40)):
        picture.save(tmp_path / f"{number}.png")
    return tmp_path


def dataset(folder, names, cache_dir=None):
    transform = Compose([LoadSlicesd("image"), FitSlicesd("image", 64), ScalePercentilesd("image")])
    data = [{"image": str(folder / name), "label": 0} for name in names]
    return SliceDataset(data, transform, cache_dir, progress=False)


@pytest.mark.parametrize("cached", [False, True])
def test_copies_among_validation_images_are_named(pictures, tmp_path, caplog, cached):
    ImageOps.mirror(Image.open(pictures / "3.png")).resize((100, 90)).save(pictures / "copy.jpg", quality=70)
    Image.open(pictures / "4.png").save(pictures / "4.jpg", quality=70)
    cache = tmp_path / "cache" if cached else None
    training = dataset(pictures, [f"{number}.png" for number in range(30)] + ["4.jpg"], cache)
    validation = dataset(pictures, ["30.png", "copy.jpg", "31.png"], cache)
    with caplog.at_level(logging.WARNING):
        warn_near_copies(training, validation)
    assert [record.getMessage() for record in caplog.records] == [
        "1 validation images are copies of training images, changed a little: copy.jpg of 3.png; dwskd check shows them"
    ]


def test_others_are_not(pictures, caplog):
    with caplog.at_level(logging.WARNING):
        warn_near_copies(
            dataset(pictures, [f"{number}.png" for number in range(30)]), dataset(pictures, ["30.png", "31.png"])
        )
    assert caplog.records == []


def test_the_middle_slice_of_each_image_is_its_area_mean(pictures):
    images = dataset(pictures, ["0.png", "1.png"])
    whole = np.stack([images[index]["image"][0].numpy() for index in range(2)])
    assert images.middle_slices(8) == pytest.approx(whole.reshape(2, 8, 8, 8, 8).mean((2, 4)), abs=1e-5)
