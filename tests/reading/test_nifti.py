from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pytest

from dwskd_monai.reading import RefusedImage, read_image

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
    assert study.pixels.dtype == np.int16
    assert (study.kind, study.plane, study.spacing) == ("volume", "axial", (4, 2, 1))


def test_slope_and_intercept_are_applied(tmp_path, pixels):
    image = nibabel.Nifti1Image(pixels, AFFINE)
    image.header.set_slope_inter(0.5, -100)
    nibabel.save(image, tmp_path / "x.nii.gz")
    assert np.array_equal(read_image(tmp_path / "x.nii.gz", "axial").pixels, displayed(pixels * 0.5 - 100))


@pytest.mark.parametrize(
    ("stored", "slope", "dtype"),
    [
        ("<i2", 1, np.int16), (">i2", 1, np.int16), ("i1", 1, np.int16), ("u1", 1, np.int16),
        ("<u2", 1, np.float32), ("<i4", 1, np.float32), ("<f4", 1, np.float32), ("<i2", 2, np.float32),
    ],
)  # fmt: skip
def test_whole_values_that_fit_take_16_bits_and_no_value_changes(tmp_path, pixels, stored, slope, dtype):
    values = pixels.clip(0, 127) if np.dtype(stored).itemsize == 1 else pixels.clip(0 if "u" in stored else -1000)
    image = nibabel.Nifti1Image(values.astype(stored), AFFINE)
    image.header.set_slope_inter(slope, 0)
    nibabel.save(image, tmp_path / "x.nii")
    nibabel.save(image, tmp_path / "x.nii.gz")
    for name in ("x.nii", "x.nii.gz"):
        got = read_image(tmp_path / name, "axial").pixels
        assert got.dtype == dtype
        assert got.dtype.isnative
        assert np.array_equal(got, displayed(values.astype(np.float32) * slope))


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


def header_changed(path, pixels: np.ndarray, affine: np.ndarray | None = AFFINE, **fields: object) -> None:
    """A file whose header has fields that nibabel would not write."""
    image = nibabel.Nifti1Image(pixels, affine)
    header = nibabel.Nifti1Header(image.to_bytes()[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + image.to_bytes()[348:])


@pytest.mark.parametrize("kept", ["trailer", "all"])
def test_a_compressed_file_is_read_to_its_checksum(tmp_path, pixels, kept):
    nibabel.save(nibabel.Nifti1Image(pixels, AFFINE), tmp_path / "x.nii")
    content = bytearray(gzip.compress((tmp_path / "x.nii").read_bytes(), compresslevel=0))
    place = -6 if kept == "trailer" else -60  # stored blocks: a flipped bit changes a voxel, and nothing else
    content[place] ^= 4
    (tmp_path / "x.nii.gz").write_bytes(content)
    with pytest.raises(RefusedImage, match=r"x.nii.gz: a damaged NIfTI file, it cannot be read \(CRC check failed"):
        read_image(tmp_path / "x.nii.gz")


def test_content_says_whether_a_file_is_compressed_and_not_its_name(tmp_path, pixels):
    nibabel.save(nibabel.Nifti1Image(pixels, AFFINE), tmp_path / "x.nii.gz")
    nibabel.save(nibabel.Nifti1Image(pixels, AFFINE), tmp_path / "y.nii")
    expected = read_image(tmp_path / "x.nii.gz").pixels
    (tmp_path / "x.nii.gz").rename(tmp_path / "a.nii")
    (tmp_path / "y.nii").rename(tmp_path / "b.nii.gz")
    for name in ("a.nii", "b.nii.gz"):
        assert np.array_equal(read_image(tmp_path / name).pixels, expected)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_and_byte_orders_are_read(tmp_path, pixels, kind, order):
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.int16)
    nibabel.save(kind(pixels, AFFINE, header), tmp_path / "x.nii")
    assert np.array_equal(read_image(tmp_path / "x.nii", "axial").pixels, displayed(pixels))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"datatype": 999}, "datatype is 999; expected a code of the NIfTI standard"),
        ({"datatype": 32}, "datatype is complex64; expected real numbers"),
        ({"dim": [3, -8, 7, 6, 1, 1, 1, 1]}, r"dim is \[3, -8, 7, 6"),
        ({"dim": [3, 0, 7, 6, 1, 1, 1, 1]}, r"dim is \[3, 0, 7, 6"),
        ({"dim": [0, 8, 7, 6, 1, 1, 1, 1]}, r"dim is \[0, 8, 7, 6"),
        ({"dim": [9, 8, 7, 6, 1, 1, 1, 1]}, "dim is .*; expected the number of axes, 1 to 7"),
        (
            {"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]},
            "dim is .* 32767 × 32767 × 32767 pixels; expected at most 2",
        ),
        ({"dim": [3, 8, 7, 60, 1, 1, 1, 1]}, "a damaged NIfTI file"),
        ({"dim": [5, 8, 7, 1, 1, 6, 1, 1]}, "expected 2 or 3 axes, got 5"),
        ({"dim": [3, 6, 7, 6, 1, 1, 1, 1]}, "dim is 6 × 7 × 6, and 168 bytes follow these pixels; expected none"),
        ({"vox_offset": np.nan}, "vox_offset is nan"),
        ({"vox_offset": 100}, "vox_offset is 100; expected a whole number of 352 or more"),
        ({"vox_offset": 353.5}, "vox_offset is 353.5"),
        ({"vox_offset": 4000}, "a damaged NIfTI file"),
        ({"scl_slope": 2, "scl_inter": np.inf}, "a damaged NIfTI file"),
        ({"magic": b"ni1"}, "magic is b'ni1'; expected a NIfTI file with header and pixels in one"),
        ({"sizeof_hdr": 5}, "a damaged NIfTI file, it cannot be read .no NIfTI header"),
    ],
)
def test_a_header_without_a_meaning_is_named(tmp_path, pixels, fields, message):
    header_changed(tmp_path / "x.nii", pixels, **fields)
    with pytest.raises(RefusedImage, match=f"x.nii: {message}"):
        read_image(tmp_path / "x.nii")


def test_a_size_of_zero_is_named_where_there_is_no_sform(tmp_path, pixels):
    codes = {"sform_code": 0, "qform_code": 0}
    header_changed(tmp_path / "x.nii", pixels, pixdim=[1, 0, 2, 4, 0, 0, 0, 0], **codes)
    with pytest.raises(RefusedImage, match=r"x.nii: pixdim is 0 × 2 × 4 mm, and there is no sform") as caught:
        read_image(tmp_path / "x.nii")
    assert caught.value.kind == "geometry"
    header_changed(tmp_path / "x.nii", pixels, pixdim=[1, 0, 2, 4, 0, 0, 0, 0], sform_code=1, qform_code=0)
    assert np.array_equal(read_image(tmp_path / "x.nii", "axial").pixels, displayed(pixels))


@pytest.mark.parametrize(
    "other", [np.diag([2.0, 1, 4, 1]), np.array([[0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1.0]])]
)
def test_two_orientations_that_disagree_are_refused(tmp_path, pixels, other):
    image = nibabel.Nifti1Image(pixels, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(other, 1)
    nibabel.save(image, tmp_path / "x.nii.gz")
    with pytest.raises(RefusedImage, match=r"x.nii.gz: sform and qform disagree: RAS with 1 × 2 × 4 mm and"):
        read_image(tmp_path / "x.nii.gz")


def test_a_second_orientation_without_axes_is_refused(tmp_path, pixels):
    header_changed(tmp_path / "x.nii", pixels, pixdim=[1, 1, 2, 0, 0, 0, 0, 0], qform_code=1, sform_code=1)
    with pytest.raises(RefusedImage, match=r"x.nii: sform and qform disagree: RAS .* and RA\? with 1 × 2 × 0 mm"):
        read_image(tmp_path / "x.nii")


@pytest.mark.parametrize(("moved", "said"), [(0.0, False), (1e-3, False), (7.0, True)])
def test_two_orientations_that_differ_in_no_slice_are_read_and_said(tmp_path, pixels, caplog, moved, said):
    other = AFFINE.copy()
    other[0, 3] = moved
    image = nibabel.Nifti1Image(pixels, AFFINE)
    image.set_sform(AFFINE, 2)
    image.set_qform(other, 1)
    nibabel.save(image, tmp_path / "x.nii.gz")
    assert np.array_equal(read_image(tmp_path / "x.nii.gz", "axial").pixels, displayed(pixels))
    assert ("x.nii.gz: sform and qform differ" in caplog.text) == said


@pytest.mark.parametrize("shape", [(8, 7), (8, 7, 1)])
@pytest.mark.parametrize("affine", [np.eye(4), None])
def test_a_picture_that_was_saved_with_no_orientation_is_not_turned(tmp_path, pixels, shape, affine):
    """nibabel.Nifti1Image(rows and columns of an X-ray, numpy.eye(4))"""
    picture = pixels[:, :, 0]
    nibabel.save(nibabel.Nifti1Image(picture.reshape(shape), affine), tmp_path / "x.nii.gz")
    image = read_image(tmp_path / "x.nii.gz")
    assert np.array_equal(image.pixels, picture[None])
    assert (image.plane, image.spacing) == (None, (1, 1, 1))


def test_bytes_of_three_channels_are_a_color_picture_and_no_slices(tmp_path):
    color = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(color, AFFINE), tmp_path / "x.nii.gz")
    with pytest.raises(RefusedImage, match=r"x.nii.gz: 20 × 30 × 3 bytes, as of a picture in color with 3 channels"):
        read_image(tmp_path / "x.nii.gz")
    nibabel.save(nibabel.Nifti1Image(color.astype(np.int16), AFFINE), tmp_path / "x.nii.gz")
    assert read_image(tmp_path / "x.nii.gz").pixels.shape == (3, 30, 20)


def test_bytes_after_the_pixels_are_said(tmp_path, pixels, caplog):
    nibabel.save(nibabel.Nifti1Image(pixels, AFFINE), tmp_path / "x.nii")
    (tmp_path / "x.nii").write_bytes((tmp_path / "x.nii").read_bytes() + b"\0" * 6)
    assert np.array_equal(read_image(tmp_path / "x.nii", "axial").pixels, displayed(pixels))
    assert "x.nii: 6 bytes follow the pixels" in caplog.text


@pytest.mark.parametrize(("unit", "millimeters"), [("unknown", 1.0), ("mm", 1.0), ("meter", 1000.0), ("micron", 0.001)])
@pytest.mark.parametrize("codes", [(2, 0), (0, 1), (1, 1)])
def test_spacing_is_in_the_unit_that_the_header_names(tmp_path, pixels, caplog, unit, millimeters, codes):
    affine = AFFINE / millimeters
    image = nibabel.Nifti1Image(pixels, affine)
    image.header.set_xyzt_units(unit)
    image.set_sform(affine, codes[0])
    image.set_qform(affine, codes[1])
    nibabel.save(image, tmp_path / "x.nii.gz")
    study = read_image(tmp_path / "x.nii.gz", "axial")
    assert study.spacing == pytest.approx((4, 2, 1), rel=1e-5)
    assert np.array_equal(study.pixels, displayed(pixels))
    assert (f"xyzt_units is {unit}" in caplog.text) == (millimeters != 1)


@pytest.mark.parametrize(
    ("spacing", "unit", "message"),
    [
        ((0.7, 0.7, 0.05), "mm", "its slices are 0.05 mm apart .pixdim, sform, xyzt_units.; expected 0.1 to 100 mm"),
        ((0.7, 0.7, 500), "mm", "its slices are 500 mm apart"),
        ((0.0007, 0.0007, 0.005), "mm", "its slices are 0.005 mm apart"),
        ((0.7, 0.7, 5), "meter", "its slices are 5000 mm apart"),
        ((0.7, 0.7, 5), "micron", "its slices are 0.005 mm apart"),
        ((0.001, 0.7, 5), "mm", "its pixels are 0.7 × 0.001 mm .*; expected 0.005 to 100 mm"),
        ((700, 700, 5), "mm", "its pixels are 700 × 700 mm"),
    ],
)
def test_a_distance_that_no_image_of_a_patient_has_is_refused(tmp_path, pixels, spacing, unit, message):
    image = nibabel.Nifti1Image(pixels, np.diag([*spacing, 1.0]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "x.nii.gz")
    with pytest.raises(RefusedImage, match=f"x.nii.gz: {message}") as caught:
        read_image(tmp_path / "x.nii.gz", "axial")
    assert caught.value.kind == "geometry"


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.1), (0.05, 0.05, 1.0), (10.0, 10.0, 50.0)])
def test_distances_that_a_scanner_has_are_read(tmp_path, pixels, spacing):
    nibabel.save(nibabel.Nifti1Image(pixels, np.diag([*spacing, 1.0])), tmp_path / "x.nii.gz")
    assert read_image(tmp_path / "x.nii.gz", "axial").spacing == pytest.approx(spacing[::-1])


def test_the_distance_of_a_single_slice_is_not_judged(tmp_path, pixels):
    nibabel.save(nibabel.Nifti1Image(pixels[:, :, :1], np.diag([1.0, 2.0, 0.01, 1.0])), tmp_path / "x.nii.gz")
    assert read_image(tmp_path / "x.nii.gz").pixels.shape == (1, 7, 8)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("angle", [0.0, 44.0, 46.0])
def test_an_sform_that_mirrors_the_qform_is_refused(tmp_path, pixels, axis, angle):
    """The signs of one column are turned, so that one says left where the other says right."""
    turn = np.eye(4)
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    turn[:2, :2] = [[cosine, -sine], [sine, cosine]]
    affine = turn @ AFFINE
    mirrored = affine.copy()
    mirrored[:3, axis] *= -1
    image = nibabel.Nifti1Image(pixels, affine)
    image.set_sform(mirrored, 1)
    image.set_qform(affine, 1)
    nibabel.save(image, tmp_path / "x.nii.gz")
    with pytest.raises(RefusedImage, match="sform and qform disagree: .*; one is mirrored, so left may be right; set"):
        read_image(tmp_path / "x.nii.gz")


@pytest.mark.parametrize(("sform", "qform", "void"), [(1, 0, "qform"), (0, 1, "sform")])
def test_a_void_orientation_that_would_mirror_the_image_is_said(tmp_path, pixels, caplog, sform, qform, void):
    image = nibabel.Nifti1Image(pixels, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, 1)
    fields = {"sform_code": sform, "qform_code": qform, "qoffset_x": 0.0}
    if void == "qform":
        fields |= {"quatern_c": 1.0}  # half a turn, which exchanges left and right, and up and down
    else:
        fields |= {"srow_x": [-1.0, 0, 0, 0]}
    header_changed(tmp_path / "x.nii", pixels, **fields)
    assert np.array_equal(read_image(tmp_path / "x.nii", "axial").pixels, displayed(pixels))
    assert f"x.nii: its {void}, which its code 0 declares void, is L" in caplog.text


def test_a_void_orientation_without_a_meaning_is_passed_over(tmp_path, pixels, caplog):
    header_changed(tmp_path / "x.nii", pixels, quatern_b=7.0)
    assert np.array_equal(read_image(tmp_path / "x.nii", "axial").pixels, displayed(pixels))
    assert caplog.text == ""


def test_a_void_orientation_that_agrees_or_says_nothing_is_not_said(tmp_path, pixels, caplog):
    nibabel.save(nibabel.Nifti1Image(pixels, np.diag([-1.0, 2.0, 4.0, 1.0])), tmp_path / "a.nii")
    header_changed(
        tmp_path / "b.nii", pixels, np.diag([-1.0, 2.0, 4.0, 1.0]), quatern_c=0.0, pixdim=[1, 1, 2, 4] + [0] * 4
    )
    for name in ("a.nii", "b.nii"):
        read_image(tmp_path / name)
    assert caplog.text == ""
