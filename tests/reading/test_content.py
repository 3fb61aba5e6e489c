from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from dwskd_monai.reading import RefusedImage, read_image
from tests.reading.dicom_files import write

BLACK = np.zeros((16, 20), np.uint8)


def saved(folder: Path, name: str, pixels: np.ndarray) -> Path:
    path = folder / name
    if name.endswith("png"):
        Image.fromarray(pixels).save(path)
    elif name.endswith("dcm"):
        write(path, pixels.astype(np.uint16))
    else:
        nibabel.save(nibabel.Nifti1Image(pixels.astype(np.int16), np.diag([1.0, 2, 3, 1])), path)
    return path


@pytest.mark.parametrize("name", ["x.png", "x.dcm", "x.nii.gz"])
@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_constant_image_is_refused(tmp_path, name, value):
    with pytest.raises(RefusedImage, match=f"{name}: all of its pixels are {value}; it shows nothing") as caught:
        read_image(saved(tmp_path, name, BLACK + np.uint8(value)))
    assert caught.value.kind == "content"


@pytest.mark.parametrize("name", ["x.png", "x.dcm", "x.nii.gz"])
def test_an_image_of_two_values_is_refused_and_one_of_three_is_not(tmp_path, name):
    pixels = BLACK.copy()
    pixels[4:8, 3:9] = 1
    with pytest.raises(RefusedImage, match=f"{name}: its pixels have two values, 0 and 1; it is a mask"):
        read_image(saved(tmp_path, name, pixels))
    pixels[-1, -1] = 2
    assert read_image(saved(tmp_path, name, pixels)).pixels.max() == 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 300)])
def test_an_image_without_an_area_is_refused(tmp_path, shape):
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
    with pytest.raises(RefusedImage, match=f"{shape[0]} × {shape[1]} pixels; expected 4 or more rows and columns"):
        read_image(saved(tmp_path, "x.png", pixels))


def test_a_volume_is_judged_as_a_whole(tmp_path):
    volume = np.zeros((8, 9, 5), np.int16)
    volume[2, 3, 3] = 4
    volume[2, 4, 4] = 9
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([1.0, 1, 3, 1])), tmp_path / "x.nii.gz")
    assert read_image(tmp_path / "x.nii.gz").pixels.shape == (5, 9, 8)
    volume[2, 4, 4] = 4
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([1.0, 1, 3, 1])), tmp_path / "x.nii.gz")
    with pytest.raises(RefusedImage, match="its pixels have two values, 0 and 4"):
        read_image(tmp_path / "x.nii.gz")
