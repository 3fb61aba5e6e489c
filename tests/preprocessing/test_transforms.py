from __future__ import annotations

import nibabel
import numpy as np
import pytest
from monai.transforms import Compose
from PIL import Image

from dwskd_monai.preprocessing import (
    PREPROCESSING_VERSION,
    FitSlicesd,
    LoadSlicesd,
    NormalizeSlicesd,
    PadSlicesd,
    ScalePercentilesd,
    WindowHounsfieldd,
)
from dwskd_monai.preprocessing.intensity import percentiles, scale_percentiles
from dwskd_monai.reading import RefusedImage
from dwskd_monai.reading.slice_axis import SLICE_AXES


def test_a_study_is_loaded_channel_first_with_its_spacing_and_kind(tmp_path):
    pixels = np.arange(8 * 7 * 6, dtype=np.int16).reshape(8, 7, 6)
    nibabel.save(nibabel.Nifti1Image(pixels, np.diag([1.0, 2.0, 4.0, 1.0])), tmp_path / "x.nii.gz")
    item = LoadSlicesd(keys="image", slice_axis="coronal")({"image": str(tmp_path / "x.nii.gz"), "label": 1})
    assert item["image"].shape == (1, 7, 6, 8)
    assert item["image"].dtype == np.float32, "so that what a transform of one's own computes does not overflow"
    assert (item["image_spacing"], item["image_kind"], item["label"]) == ((2, 4, 1), "volume", 1)
    assert item["image_plane"] == "coronal"


def test_the_plane_of_a_picture_is_unknown(tmp_path):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "x.png")
    assert LoadSlicesd(keys="image")({"image": str(tmp_path / "x.png")})["image_plane"] == "unknown"


def test_an_unknown_slice_axis_is_named():
    with pytest.raises(ValueError, match=f"slice_axis must be one of {', '.join(SLICE_AXES)}; got 'z'"):
        LoadSlicesd(keys="image", slice_axis="z")


def fit(pixels: np.ndarray, size: int, spacing: tuple[float, float, float] = (1, 1, 1), **kwargs) -> np.ndarray:
    return FitSlicesd(keys="image", spatial_size=size, **kwargs)({"image": pixels, "image_spacing": spacing})["image"]


def test_shrinking_takes_the_mean_over_areas():
    pixels = np.random.default_rng(0).normal(size=(2, 40, 12, 8)).astype(np.float32)
    expected = pixels.reshape(2, 40, 6, 2, 4, 2).mean((3, 5))
    np.testing.assert_allclose(fit(pixels, 6), expected, atol=1e-6)


def test_more_slices_than_are_copied_at_a_time_and_mirrored_views():
    pixels = np.random.default_rng(0).normal(size=(1, 75, 8, 8)).astype(np.float32)
    whole = fit(pixels, 4)
    assert whole.shape == (1, 75, 4, 4)
    np.testing.assert_allclose(whole[:, ::-1], fit(pixels[:, ::-1], 4))
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
    assert (np.diff(fitted) > 0).all()
    assert float(fitted.mean()) == pytest.approx((shape[1] - 1) / 2, abs=1e-3)


def test_without_keeping_the_aspect_it_is_a_square():
    assert fit(np.zeros((1, 3, 10, 40), np.float32), 16, (5, 4, 1), keep_aspect=False).shape == (1, 3, 16, 16)
    with pytest.raises(ValueError, match="image_size must be 1 or more pixels, got 0"):
        FitSlicesd(keys="image", spatial_size=0)


HU = np.array([-2000.0, -1350, -600, 0, 150, 3000], dtype=np.float32).reshape(1, 1, 2, 3)


def window(windows, kind="CT", pixels=HU, **kwargs) -> np.ndarray:
    transform = WindowHounsfieldd(keys="image", windows=windows, **kwargs)
    return transform({"image": pixels, "image_kind": kind, "file": "scan"})["image"]


@pytest.mark.parametrize("kind", ["CT", "volume"])
def test_windows_become_channels_between_black_and_white(kind):
    lung = [0, 0, 0.5, 0.9, 1, 1]
    np.testing.assert_allclose(window([[1500, -600]], kind).flatten(), lung, atol=1e-6)
    both = window([[1500, -600], [400, 40]], kind)
    assert both.shape == (2, 1, 2, 3)
    np.testing.assert_allclose(both[0].flatten(), lung, atol=1e-6)
    np.testing.assert_allclose(both[1].flatten(), [0, 0, 0, 0.4, 0.775, 1], atol=1e-6)
    assert HU[0, 0, 0, 0] == -2000, "the input is untouched"


def test_a_picture_is_taken_as_windowed_only_where_that_is_said():
    gray = np.array([0.0, 51, 255], dtype=np.float32).reshape(1, 1, 1, 3)
    taken = window([[1500, -600]], "picture", gray, picture_range=[0, 255])
    np.testing.assert_allclose(taken.flatten(), [0, 0.2, 1], atol=1e-6)
    with pytest.raises(ValueError, match="scan: a picture has no Hounsfield units; .* set picture_range"):
        window([[1500, -600]], "picture", gray)
    with pytest.raises(ValueError, match="scan: a picture has one window already, but 2 windows are configured"):
        window([[1500, -600], [400, 40]], "picture", gray, picture_range=[0, 255])


@pytest.mark.parametrize("values", [[0.0, 51, 62677], [-3.0, 51, 200]])
def test_a_picture_with_values_beyond_its_range_is_refused(values):
    deep = np.array(values, dtype=np.float32).reshape(1, 1, 1, 3)
    with pytest.raises(RefusedImage, match=r"scan: its pixels are .*, beyond picture_range \[0, 255\]; set") as caught:
        window([[1500, -600]], "picture", deep, picture_range=[0, 255])
    assert caught.value.kind == "content"


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


def test_percentiles_leave_padding_out():
    inside = np.random.default_rng(0).uniform(100, 900, (1, 1, 40, 30)).astype(np.float32)
    padded = np.concatenate([np.full((1, 1, 40, 10), inside.min(), np.float32), inside], axis=-1)
    scale = ScalePercentilesd(keys="image", lower=5, upper=95)
    expected = scale({"image": inside})["image"]
    scaled = scale({"image": padded, "image_padding": 10 / 40})["image"]
    np.testing.assert_allclose(scaled[..., 10:], expected, atol=2e-3)
    assert (scaled[..., :10] == 0).all()
    assert np.abs(scale({"image": padded})["image"][..., 10:] - expected).max() > 0.02


@pytest.mark.parametrize("padding", [0.0, 0.1, 1 / 3, 0.999])
def test_the_ends_of_all_pixels_are_those_of_the_others(padding):
    pixels = np.linspace(3, 9, 1000, dtype=np.float32).reshape(1, 1, 1000, 1)
    scaled = ScalePercentilesd(keys="image", lower=0, upper=100)({"image": pixels, "image_padding": padding})["image"]
    assert scaled.max() == pytest.approx(1, abs=1e-6)


def test_a_png_that_is_no_slice_of_a_ct_names_its_file(tmp_path):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "x.png")
    chain = Compose([LoadSlicesd(keys="image"), WindowHounsfieldd(keys="image", windows=[[1500, -600]])])
    with pytest.raises(RuntimeError) as caught:
        chain({"image": str(tmp_path / "x.png"), "file": str(tmp_path / "x.png")})
    assert "x.png: a picture has no Hounsfield units" in str(caught.value.__cause__)


def test_percentiles_of_16_bits_do_not_overflow():
    stored = np.array([-30000, 30000], np.int16)
    assert percentiles(stored, 10, 90) == pytest.approx((-24000, 24000))
    assert scale_percentiles(stored, 0, 100).tolist() == [0, 1]
    flat = scale_percentiles(np.full(4, 7, np.int16), 0, 100)
    assert (flat.dtype, flat.any()) == (np.float32, False)


def test_the_values_at_two_percentiles_become_0_and_1():
    pixels = np.arange(1001, dtype=np.float32).reshape(1, 7, 11, 13)
    scaled = ScalePercentilesd("image", lower=10, upper=80)({"image": pixels})["image"]
    np.testing.assert_allclose(scaled, ((pixels - 100) / 700).clip(0, 1), atol=1e-6)
    assert pixels.max() == 1000, "the input is untouched"


def test_a_constant_image_becomes_zeros():
    assert not ScalePercentilesd("image")({"image": np.full((1, 1, 4, 4), 7, np.float32)})["image"].any()


@pytest.mark.parametrize(("lower", "upper"), [(-1, 99), (5, 5), (0.5, 101)])
def test_percentiles_out_of_order_are_named(lower, upper):
    with pytest.raises(ValueError, match=rf"percentiles 0 <= lower < upper <= 100, got lower={lower}, upper={upper}"):
        ScalePercentilesd("image", lower, upper)


def test_slices_are_padded_to_the_middle_of_a_square():
    padded = PadSlicesd("image", 4)({"image": np.ones((1, 2, 1, 4), np.float32)})["image"]
    assert padded.shape == (1, 2, 4, 4)
    assert padded[0, 0].sum(1).tolist() == [0, 4, 0, 0]


def test_normalizing_subtracts_the_mean_and_divides_by_the_deviation():
    pixels = np.array([[0.0, 0.5, 1.0]], np.float32)
    normalized = NormalizeSlicesd("image", mean=0.5, std=0.25)({"image": pixels})["image"]
    assert normalized.tolist() == [[-2, 0, 2]]
    assert pixels.tolist() == [[0, 0.5, 1]], "the input is untouched"
    with pytest.raises(ValueError, match="intensity_std must be greater than 0, got 0"):
        NormalizeSlicesd("image", mean=0.5, std=0)


def test_a_network_of_another_version_of_the_pixels_is_refused():
    assert LoadSlicesd("image", version=PREPROCESSING_VERSION).slice_axis == "thickest"
    with pytest.raises(ValueError, match=r"preprocessing_version: the network was trained with images of version 1"):
        LoadSlicesd("image", version=1)
