from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dwskd_monai.reading import RefusedImage, read_image


@pytest.fixture
def picture() -> np.ndarray:
    """8-bit, not symmetric, height unlike width."""
    picture = np.random.default_rng(0).integers(0, 50, (40, 56)).astype(np.uint8)
    picture[5:15, 3:10] = 250
    return picture


def read(path: Path) -> np.ndarray:
    study = read_image(path)
    assert study.pixels.dtype == np.float32
    assert (study.kind, study.plane, study.spacing, len(study.pixels)) == ("picture", None, (1, 1, 1), 1)
    return study.pixels[0]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA"])
def test_8_bit_pngs_of_any_mode_are_the_same_gray_image(tmp_path, picture, mode):
    Image.fromarray(picture).convert(mode).save(tmp_path / "x.png")
    assert np.array_equal(read(tmp_path / "x.png"), picture)


def test_16_bit_png_and_bmp_and_jpeg(tmp_path, picture):
    deep = picture.astype(np.uint16) * 16
    Image.fromarray(deep).save(tmp_path / "x.png")
    assert np.array_equal(read(tmp_path / "x.png"), deep)
    Image.fromarray(picture).save(tmp_path / "x.bmp")
    assert np.array_equal(read(tmp_path / "x.bmp"), picture)
    smooth = np.linspace(0, 255, 40 * 56).reshape(40, 56).astype(np.uint8)
    for mode in ("L", "RGB", "CMYK"):
        Image.fromarray(smooth).convert(mode).save(tmp_path / "x.jpg", quality=95)
        assert np.abs(read(tmp_path / "x.jpg") - smooth).max() <= 4, mode


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
@pytest.mark.parametrize(("kept", "message"), [(0.0, "an empty file"), (0.5, "a damaged image file")])
def test_a_truncated_or_empty_file_is_named(tmp_path, picture, name, kept, message):
    path = tmp_path / name
    Image.fromarray(picture).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        read(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RefusedImage, match=r"gone.png: there is no such image"):
        read(tmp_path / "gone.png")


def test_another_file_called_png_is_named(tmp_path):
    (tmp_path / "page.png").write_text("<html>" + " " * 200 + "</html>")
    with pytest.raises(ValueError, match=r"page.png: not an image; expected DICOM, NIfTI, PNG, JPEG or BMP"):
        read(tmp_path / "page.png")


def test_a_photograph_is_turned_as_its_exif_tag_says(tmp_path):
    image = Image.new("L", (6, 4))
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held a quarter turn
    image.save(tmp_path / "x.png", exif=exif)
    pixels = read(tmp_path / "x.png")
    assert pixels.shape == (6, 4)
    assert pixels[0, 3] == 255


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_color_is_refused_and_a_small_colored_mark_is_not(tmp_path, picture, mode):
    colored = np.stack([picture] * 3, -1)
    colored[:3, :4] = (255, 0, 0)
    Image.fromarray(colored).save(tmp_path / "mark.png")
    assert read(tmp_path / "mark.png").shape == (40, 56)
    colored[:20] = (200, 90, 60)
    Image.fromarray(colored).convert(mode).save(tmp_path / "skin.png")
    with pytest.raises(ValueError, match=r"skin.png: expected a gray image, 5[08]% of its pixels have a color"):
        read(tmp_path / "skin.png")
