from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

from dwskd_monai.reading.geometry import to_image
from dwskd_monai.reading.image import Volume

PATH = Path("scan.nii.gz")
# The brightest pixel of a plane lies to the patient's left, back and top; sizes and spacings differ on all axes.
SHAPE, SPACING = (5, 6, 7), (1.0, 2.0, 4.0)


def volume(codes: str, spacing: tuple[float, float, float] = SPACING) -> Volume:
    """A right-anterior-superior volume whose axes are turned to ``codes``; its value is x + 10 y + 100 z."""
    x, y, z = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    pixels, affine = (x + 10 * y + 100 * z).astype(np.float32), np.diag([*spacing, 1.0])
    affine[:3, 3] = (-7, 3, 11)
    transform = ornt_transform(io_orientation(affine), axcodes2ornt(codes))
    turned = pixels.transpose(np.argsort(transform[:, 0]))
    for axis, flip in enumerate(transform[np.argsort(transform[:, 0]), 1]):
        turned = np.flip(turned, axis) if flip < 0 else turned
    return Volume(turned, "volume", affine @ inv_ornt_aff(transform, SHAPE), "sform")


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PSR", "ASL", "IPR", "SRA"])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_each_orientation_gives_the_same_slices(codes, plane):
    study = to_image(volume(codes), plane, PATH)
    left, back = np.arange(5)[::-1], 10 * np.arange(6)[::-1]  # towards the patient's left, and back
    up, down = 100 * np.arange(7), 100 * np.arange(7)[::-1]
    expected = {
        "axial": up[:, None, None] + back[:, None] + left,
        "coronal": back[:, None, None] + down[:, None] + left,
        "sagittal": left[:, None, None] + down[:, None] + back,
    }[plane]
    assert np.array_equal(study.pixels, expected)
    assert study.plane == plane
    assert study.spacing == {"axial": (4, 2, 1), "coronal": (2, 4, 1), "sagittal": (1, 4, 2)}[plane]


@pytest.mark.parametrize(
    ("spacing", "plane"),
    [((1, 1, 5), "axial"), ((1, 5, 1), "coronal"), ((5, 1, 1), "sagittal"), ((1, 1, 1), "axial"), ((1, 2, 2), "axial")],
)
def test_the_thickest_spacing_is_cut_across_and_axial_where_there_is_none(spacing, plane):
    for codes in ("RAS", "PSR"):
        assert to_image(volume(codes, spacing), "thickest", PATH).plane == plane


def test_an_oblique_volume_takes_the_nearest_axes():
    tilted = volume("RAS")
    angle = np.deg2rad(20)
    rotation = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = tilted.affine.copy()
    affine[:3, :3] = rotation @ affine[:3, :3]
    study = to_image(Volume(tilted.pixels, "volume", affine, "sform"), "axial", PATH)
    assert np.array_equal(study.pixels, to_image(tilted, "axial", PATH).pixels)
    assert study.spacing == pytest.approx((4, 2, 1))


def test_a_volume_with_one_slice_is_cut_there_and_nowhere_else():
    whole = volume("RAS")
    flat = Volume(whole.pixels[:, :, :1], "volume", whole.affine, "sform")
    assert to_image(flat, "thickest", PATH).pixels.shape == (1, 6, 5)
    assert to_image(flat, "axial", PATH).plane == "axial"
    with pytest.raises(ValueError, match=r"scan.nii.gz: its only slice is axial, slice_axis is sagittal"):
        to_image(flat, "sagittal", PATH)
    line = Volume(whole.pixels[:, :1, :1], "volume", whole.affine, "sform")
    with pytest.raises(ValueError, match="5 × 1 × 1 pixels has no slice with an area"):
        to_image(line, "thickest", PATH)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda affine: affine.__setitem__((0, 0), np.nan), "its affine has NaN or infinite entries"),
        (lambda affine: affine.__setitem__((slice(0, 3), slice(0, 3)), 0), "zero or parallel axis .spacing 0, 0, 0 mm"),
        (lambda affine: affine.__setitem__((slice(0, 3), 2), 0), "zero or parallel axis .spacing 1, 2, 0 mm"),
        (lambda affine: affine.__setitem__((slice(0, 3), 2), affine[:3, 1]), "zero or parallel axis"),
    ],
)
def test_an_affine_without_a_meaning_is_refused(change, message):
    broken = volume("RAS")
    change(broken.affine)
    with pytest.raises(ValueError, match=f"scan.nii.gz: .*{message}"):
        to_image(broken, "axial", PATH)
