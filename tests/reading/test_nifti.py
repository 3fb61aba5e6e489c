from __future__ import annotations

import nibabel
import numpy as np
import pytest

from dwskd_monai.reading import read_image

AFFINE = np.diag([1.0, 2.0, 4.0, 1.0])


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, (8, 7, 6)).astype(np.int16)


def displayed(pixels: np.ndarray) -> np.ndarray:
    """Axial slices of right-anterior-superior pixels, columns to the left, rows to the back."""
    return pixels.transpose(2, 1, 0)[:, ::-1, ::-1]


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "X.NII.GZ"])
def test_3_d(tmp_path, pixels, name):
    nibabel.save(nibabel.Nifti1Image(pixels, AFFINE), tmp_path / name.lower())
    (tmp_path / name.lower()).rename(tmp_path / name)
    study = read_image(tmp_path / name, "axial")
    assert np.array_equal(study.pixels, displayed(pixels))
    assert study.pixels.dtype == np.float32
    assert (study.kind, study.plane, study.spacing) == ("volume", "axial", (4, 2, 1))


def test_slope_and_intercept_are_applied(tmp_path, pixels):
    image = nibabel.Nifti1Image(pixels, AFFINE)
    image.header.set_slope_inter(0.5, -100)
    nibabel.save(image, tmp_path / "x.nii.gz")
    assert np.array_equal(read_image(tmp_path / "x.nii.gz", "axial").pixels, displayed(pixels * 0.5 - 100))


@pytest.mark.parametrize("shape", [(8, 7), (8, 7, 1), (8, 7, 1, 1)])
def test_2_d_is_a_study_of_one_slice(tmp_path, pixels, shape):
    nibabel.save(nibabel.Nifti1Image(pixels[:, :, 0].reshape(shape), AFFINE), tmp_path / "x.nii.gz")
    study = read_image(tmp_path / "x.nii.gz")
    assert np.array_equal(study.pixels, displayed(pixels[:, :, :1]))


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.7])
def test_a_truncated_or_empty_file_is_named(tmp_path, pixels, name, kept):
    path = tmp_path / name
    nibabel.save(nibabel.Nifti1Image(pixels, AFFINE), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(ValueError, match=f"{name}: (a damaged NIfTI file|an empty file)"):
        read_image(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_counted(tmp_path, pixels, value):
    broken = pixels.astype(np.float32)
    broken[1, 2, 3] = broken[4, 4, 4] = broken[0, 0, 0] = value
    nibabel.save(nibabel.Nifti1Image(broken, AFFINE), tmp_path / "x.nii.gz")
    with pytest.raises(ValueError, match=r"x.nii.gz: 3 of 336 pixels are NaN or infinite"):
        read_image(tmp_path / "x.nii.gz")


def test_a_time_series_is_named(tmp_path, pixels):
    nibabel.save(nibabel.Nifti1Image(np.stack([pixels] * 3, -1), AFFINE), tmp_path / "x.nii.gz")
    with pytest.raises(ValueError, match=r"x.nii.gz: expected 2 or 3 axes, got 4 \(8 × 7 × 6 × 3\)"):
        read_image(tmp_path / "x.nii.gz")


def test_color_is_named(tmp_path):
    color = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(color, AFFINE), tmp_path / "x.nii.gz")
    with pytest.raises(ValueError, match=r"x.nii.gz: expected gray pixels, got color"):
        read_image(tmp_path / "x.nii.gz")


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_an_affine_without_a_meaning_is_named(tmp_path, pixels, value):
    image = nibabel.Nifti1Image(pixels, AFFINE)
    image.header["srow_x"] = image.header["srow_y"] = image.header["srow_z"] = value
    image.header["sform_code"] = 1
    path = tmp_path / "x.nii"
    path.write_bytes(nibabel.Nifti1Image(pixels, None, image.header).to_bytes())
    content = bytearray(path.read_bytes())
    content[:348] = image.header.binaryblock  # nibabel would write an affine that it finds good
    content[108:112] = np.float32(352).tobytes()
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x.nii: its affine has (a zero|NaN)"):
        read_image(path)


def test_a_file_without_an_orientation_is_read_and_said(tmp_path, pixels, caplog):
    image = nibabel.Nifti1Image(pixels, None)
    nibabel.save(image, tmp_path / "x.nii.gz")
    assert read_image(tmp_path / "x.nii.gz").pixels.shape == (6, 7, 8)
    assert "x.nii.gz: sform and qform codes are 0, no orientation" in caplog.text


def test_something_else_called_nifti_is_named(tmp_path):
    (tmp_path / "x.nii.gz").write_text("not at all")
    with pytest.raises(ValueError, match=r"x.nii.gz: a damaged NIfTI file"):
        read_image(tmp_path / "x.nii.gz")
