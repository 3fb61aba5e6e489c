from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from monai.data import CacheDataset
from monai.data.utils import set_rnd
from monai.transforms import Compose, RandGaussianNoised
from PIL import Image

from dwskd_monai.data.phantoms import _write_dicom
from dwskd_monai.transforms import AugmentViewsd, LoadGreyImaged


@pytest.fixture
def picture() -> np.ndarray:
    """12-bit, not symmetric, height unlike width."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 500, (40, 56)).astype(np.uint16)
    picture[5:15, 3:10] = 4000
    return picture


def read(path: Path) -> np.ndarray:
    image = LoadGreyImaged(keys="image")({"image": str(path)})["image"]
    assert type(image) is torch.Tensor
    assert image.dtype == torch.float32
    return image.numpy()


@pytest.mark.parametrize("inverted", [False, True])
def test_dicom_has_one_polarity_and_timms_axis_order(tmp_path, picture, inverted):
    _write_dicom(picture, tmp_path / "x.dcm", "P1", inverted)
    pixels = read(tmp_path / "x.dcm")
    assert pixels.shape == (1, 40, 56)
    assert np.array_equal(pixels[0], picture)


def test_dicom_slope_and_intercept_are_applied(tmp_path, picture):
    _write_dicom(picture, tmp_path / "x.dcm", "P1", False)
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    dataset.RescaleSlope, dataset.RescaleIntercept = 2.0, -100.0
    dataset.save_as(tmp_path / "x.dcm")
    assert np.array_equal(read(tmp_path / "x.dcm")[0], picture * 2.0 - 100)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA"])
def test_8_bit_pngs_of_any_mode_are_the_same_grey_image(tmp_path, picture, mode):
    grey = Image.fromarray((picture // 16).astype(np.uint8))
    grey.convert(mode).save(tmp_path / "x.png")
    assert np.array_equal(read(tmp_path / "x.png")[0], picture // 16)


def test_16_bit_png_and_jpeg(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "x.png")
    assert np.array_equal(read(tmp_path / "x.png")[0], picture)
    smooth = np.linspace(0, 255, 40 * 56).reshape(40, 56).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "x.jpg", quality=95)
    pixels = read(tmp_path / "x.jpg")
    assert pixels.shape == (1, 40, 56)
    assert np.abs(pixels[0] - smooth).max() <= 4


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.dcm"])
@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_a_truncated_or_empty_file_is_named(tmp_path, picture, name, kept):
    path = tmp_path / name
    if name.endswith(".dcm"):
        _write_dicom(picture, path, "P1", False)
    else:
        Image.fromarray((picture // 16).astype(np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ValueError, match=f"{name}: (a damaged|not an image)"):
        read(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone.png: there is no such image file"):
        read(tmp_path / "gone.png")


def test_a_photograph_is_turned_as_its_exif_tag_says(tmp_path):
    image = Image.new("L", (6, 4))
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held a quarter turn
    image.save(tmp_path / "x.png", exif=exif)
    pixels = read(tmp_path / "x.png")[0]
    assert pixels.shape == (6, 4)
    assert pixels[0, 3] == 255


def test_text_called_dcm_and_dicom_of_another_kind_are_named(tmp_path, picture):
    (tmp_path / "page.dcm").write_text("<html>" + " " * 200 + "</html>")
    with pytest.raises(ValueError, match=r"page.dcm: not an image; expected PNG, JPEG, BMP or DICOM"):
        read(tmp_path / "page.dcm")
    _write_dicom(picture, tmp_path / "frames.dcm", "P1", False)
    dataset = pydicom.dcmread(tmp_path / "frames.dcm")
    dataset.NumberOfFrames, dataset.PixelData = 2, dataset.PixelData * 2
    dataset.save_as(tmp_path / "frames.dcm")
    with pytest.raises(ValueError, match=r"frames.dcm: expected one grey frame, got 2 frame\(s\)"):
        read(tmp_path / "frames.dcm")
    colour = np.stack([(picture // 16).astype(np.uint8)] * 3, -1)
    dataset = pydicom.dcmread(tmp_path / "frames.dcm")
    del dataset.NumberOfFrames
    dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PhotometricInterpretation = 3, 0, "RGB"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = colour.tobytes()
    dataset.save_as(tmp_path / "colour.dcm")
    with pytest.raises(ValueError, match=r"colour.dcm: expected one grey frame, got 1 frame\(s\) of 3 channel\(s\)"):
        read(tmp_path / "colour.dcm")


def noise(views: str) -> AugmentViewsd:
    return AugmentViewsd(Compose([RandGaussianNoised(keys="image", prob=1.0, std=1.0)]), views)


def test_two_views_are_augmented_independently_and_one_is_not_copied():
    item = {"image": torch.zeros(1, 8, 8), "label": 2}
    two, same = noise("two")(item), noise("same")(item)
    assert not torch.equal(two["image"], two["image_auxiliary"])
    assert "image_auxiliary" not in same
    assert (two["label"], same["label"]) == (2, 2)
    assert not item["image"].any(), "the cached image is untouched"


def test_augmentation_is_seeded_and_ends_the_cache():
    dataset = CacheDataset([{"image": torch.zeros(1, 4, 4)}], Compose([noise("two")]), progress=False)
    set_rnd(dataset, 3)
    first = [dataset[0] for _ in range(2)]
    set_rnd(dataset, 3)
    again = [dataset[0] for _ in range(2)]
    assert not torch.equal(first[0]["image"], first[1]["image"]), "random at each access"
    for ours, theirs in zip(first, again):
        assert torch.equal(ours["image"], theirs["image"])
        assert torch.equal(ours["image_auxiliary"], theirs["image_auxiliary"])


def test_unknown_views_are_named():
    with pytest.raises(ValueError, match="views must be one of same, two; got 'three'"):
        noise("three")
