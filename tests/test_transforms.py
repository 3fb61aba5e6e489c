from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
from monai.data import CacheDataset
from monai.data.utils import set_rnd
from monai.transforms import Compose, RandGaussianNoised
from PIL import Image

from dwskd_monai.transforms import AugmentViewsd, FitSlicesd, LoadStudyd, WindowHounsfieldd


def test_a_study_is_loaded_channel_first_with_its_spacing_and_kind(tmp_path):
    pixels = np.arange(8 * 7 * 6, dtype=np.int16).reshape(8, 7, 6)
    nibabel.save(nibabel.Nifti1Image(pixels, np.diag([1.0, 2.0, 4.0, 1.0])), tmp_path / "x.nii.gz")
    item = LoadStudyd(keys="image", slice_axis="coronal")({"image": str(tmp_path / "x.nii.gz"), "label": 1})
    assert item["image"].shape == (1, 7, 6, 8)
    assert (item["image_spacing"], item["image_kind"], item["label"]) == ((2, 4, 1), "nifti", 1)


def test_an_unknown_slice_axis_is_named():
    with pytest.raises(ValueError, match="slice_axis must be one of axial, coronal, sagittal, thickest; got 'z'"):
        LoadStudyd(keys="image", slice_axis="z")


def fit(pixels: np.ndarray, size: int, spacing: tuple[float, float, float] = (1, 1, 1), **kwargs) -> torch.Tensor:
    return FitSlicesd(keys="image", spatial_size=size, **kwargs)({"image": pixels, "image_spacing": spacing})["image"]


def test_shrinking_takes_the_mean_over_areas():
    pixels = np.random.default_rng(0).normal(size=(2, 40, 12, 8)).astype(np.float32)
    expected = pixels.reshape(2, 40, 6, 2, 4, 2).mean((3, 5))
    np.testing.assert_allclose(fit(pixels, 6), expected, atol=1e-6)


def test_more_slices_than_are_copied_at_a_time_and_mirrored_views():
    pixels = np.random.default_rng(0).normal(size=(1, 75, 8, 8)).astype(np.float32)
    whole = fit(pixels, 4)
    assert whole.shape == (1, 75, 4, 4)
    np.testing.assert_allclose(whole.flip(1), fit(pixels[:, ::-1], 4))
    np.testing.assert_allclose(whole[:, 70:], fit(pixels[:, 70:], 4))


@pytest.mark.parametrize(
    ("shape", "spacing", "expected"),
    [
        ((20, 20), (5, 1, 1), (16, 16)),
        ((20, 40), (5, 1, 1), (8, 16)),
        ((10, 40), (5, 4, 1), (16, 16)),  # anisotropic pixels, a square in mm
        ((10, 40), (5, 2, 1), (8, 16)),
        ((2, 400), (5, 1, 1), (1, 16)),
        ((7, 6), (5, 1, 1), (16, 14)),  # growing
    ],
)
def test_the_longer_side_in_mm_gets_the_size(shape, spacing, expected):
    ramp = np.broadcast_to(np.arange(shape[1], dtype=np.float32), (1, 3, *shape))
    fitted = fit(ramp, 16, spacing)
    assert fitted.shape == (1, 3, *expected)
    assert (fitted.diff(dim=-1) > 0).all()
    assert float(fitted.mean()) == pytest.approx((shape[1] - 1) / 2, abs=1e-3)


def test_without_keeping_the_aspect_it_is_a_square():
    assert fit(np.zeros((1, 3, 10, 40), np.float32), 16, (5, 4, 1), keep_aspect=False).shape == (1, 3, 16, 16)
    with pytest.raises(ValueError, match="image_size must be 1 or more pixels, got 0"):
        FitSlicesd(keys="image", spatial_size=0)


HU = torch.tensor([-2000.0, -1350, -600, 0, 150, 3000]).reshape(1, 1, 2, 3)


def window(windows, kind="CT", pixels=HU, **kwargs) -> torch.Tensor:
    transform = WindowHounsfieldd(keys="image", windows=windows, **kwargs)
    return transform({"image": pixels, "image_kind": kind, "file": "scan"})["image"]


@pytest.mark.parametrize("kind", ["CT", "nifti"])
def test_windows_become_channels_between_black_and_white(kind):
    lung = [0, 0, 0.5, 0.9, 1, 1]
    np.testing.assert_allclose(window([[1500, -600]], kind).flatten(), lung)
    both = window([[1500, -600], [400, 40]], kind)
    assert both.shape == (2, 1, 2, 3)
    np.testing.assert_allclose(both[0].flatten(), lung)
    np.testing.assert_allclose(both[1].flatten(), [0, 0, 0, 0.4, 0.775, 1], atol=1e-6)
    assert HU[0, 0, 0, 0] == -2000, "the input is untouched"


def test_a_picture_is_taken_as_windowed_only_where_that_is_said():
    grey = torch.tensor([0.0, 51, 255]).reshape(1, 1, 1, 3)
    taken = window([[1500, -600]], "picture", grey, picture_range=[0, 255])
    np.testing.assert_allclose(taken.flatten(), [0, 0.2, 1])
    with pytest.raises(ValueError, match="scan: a picture has no Hounsfield units; .* set picture_range"):
        window([[1500, -600]], "picture", grey)
    with pytest.raises(ValueError, match="scan: a picture has one window already, 2 windows are configured"):
        window([[1500, -600], [400, 40]], "picture", grey, picture_range=[0, 255])


def test_a_dicom_image_of_another_modality_has_no_hounsfield_units():
    with pytest.raises(ValueError, match="scan: a DICOM image of modality MR has no Hounsfield units; expected CT"):
        window([[1500, -600]], "MR")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"windows": []}, "windows must be pairs"),
        ({"windows": [[0, 40]]}, "windows must be pairs of width > 0"),
        ({"windows": [[1500]]}, "windows must be pairs"),
        ({"windows": [[1500, -600]], "picture_range": [255, 0]}, r"picture_range must be \[black, white\]"),
        (
            {"windows": [[1500, -600], [400, 40]], "channels": 1},
            "2 windows need as many input channels, the network has 1",
        ),
    ],
)
def test_wrong_windows_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        WindowHounsfieldd(keys="image", **settings)


def test_a_png_that_is_no_slice_of_a_ct_names_its_file(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    chain = Compose([LoadStudyd(keys="image"), WindowHounsfieldd(keys="image", windows=[[1500, -600]])])
    with pytest.raises(RuntimeError) as caught:
        chain({"image": str(tmp_path / "x.png"), "file": str(tmp_path / "x.png")})
    assert "x.png: a picture has no Hounsfield units" in str(caught.value.__cause__)


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
