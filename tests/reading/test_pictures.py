from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from dwskd_monai.reading import RefusedImage, read_image
from dwskd_monai.reading.find import find_images


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
    with pytest.raises(
        ValueError, match=r"page.png: not an image; expected DICOM, NIfTI, PNG, JPEG, TIFF, WebP or BMP"
    ):
        read(tmp_path / "page.png")


def test_a_photograph_is_turned_as_its_exif_tag_says(tmp_path):
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
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


@pytest.mark.parametrize("name", ["x.tif", "x.tiff", "x.TIF", "x.webp", "x.jpe", "x.jfif"])
def test_further_formats_are_found_and_read(tmp_path, picture, name):
    smooth = np.linspace(0, 255, 40 * 56).reshape(40, 56).astype(np.uint8)
    lossy = name.endswith(("jpe", "jfif"))
    kind = "JPEG" if lossy else "WEBP" if name.endswith("webp") else "TIFF"
    Image.fromarray(smooth if lossy else picture).save(tmp_path / name, kind, quality=95, lossless=True)
    assert find_images(tmp_path, False) == ([tmp_path / name], [])
    pixels = read(tmp_path / name)
    assert np.abs(pixels - smooth).max() <= 4 if lossy else np.array_equal(pixels, picture)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_picture_without_a_suffix_is_found_by_its_content(tmp_path, picture, kind):
    Image.fromarray(picture).save(tmp_path / "IM0001", kind)
    (tmp_path / "LICENSE").write_text("text")
    (tmp_path / "thumb.db").write_bytes((tmp_path / "IM0001").read_bytes())
    images, others = find_images(tmp_path, False)
    assert images == [tmp_path / "IM0001"]
    assert [other.path.name for other in others] == ["LICENSE", "thumb.db"]
    assert read(tmp_path / "IM0001").shape == (40, 56)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_whose_zero_is_white_is_turned_round(tmp_path, picture, bits):
    white = 2**bits - 1
    shown = picture.astype(np.uint16) * (1 if bits == 8 else 200)
    stored = white - shown
    (tmp_path / "x.tif").write_bytes(tiff(stored.astype("<u1" if bits == 8 else "<u2"), photometric=0))
    assert np.array_equal(read(tmp_path / "x.tif"), shown)


def tiff(pixels: np.ndarray, photometric: int) -> bytes:
    """A TIFF of one strip; Pillow turns round what it writes so."""
    rows, columns = pixels.shape
    tags = [(256, columns), (257, rows), (258, 8 * pixels.itemsize), (259, 1), (262, photometric), (273, 8)]
    tags += [(277, 1), (278, rows), (279, pixels.nbytes)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + b"\0" * 4
    return b"II*\0" + struct.pack("<I", 8 + pixels.nbytes) + pixels.tobytes() + directory


def test_a_damaged_part_of_a_png_is_seen_by_its_checksum(tmp_path, picture):
    path = tmp_path / "x.png"
    Image.fromarray(picture).save(path, compress_level=0)
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(content)
    with pytest.raises(RefusedImage, match=r"x.png: a damaged image file") as caught:
        read(path)
    assert caught.value.kind == "damaged"


def test_a_decompression_bomb_is_named(tmp_path):
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))
    with pytest.raises(RefusedImage, match=r"x.png: too large a picture.*400000000 pixels.*save it with fewer pixels"):
        read(tmp_path / "x.png")


def test_texts_that_are_too_large_are_named(tmp_path, picture):
    info = PngImagePlugin.PngInfo()
    info.add_text("x", "x" * 2_000_000, zip=True)
    Image.fromarray(picture).save(tmp_path / "x.png", pnginfo=info)
    with pytest.raises(RefusedImage, match=r"x.png: its texts .* are too large .*save it without metadata"):
        read(tmp_path / "x.png")


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_that_hides_the_picture_is_refused(tmp_path, picture, mode):
    alpha = np.full(picture.shape, 255, np.uint8)
    alpha[:30] = 0
    hidden = Image.fromarray(picture).convert(mode)
    hidden.putalpha(Image.fromarray(alpha))
    hidden.save(tmp_path / "hidden.png")
    with pytest.raises(RefusedImage, match=r"hidden.png: transparency hides a picture in \d\d% of") as caught:
        read(tmp_path / "hidden.png")
    assert caught.value.kind == "content"
    if mode == "RGBA":
        palette = Image.fromarray(picture)
        palette.convert("P").save(tmp_path / "palette.png", transparency=bytes(100) + b"\xff" * 156)
        with pytest.raises(RefusedImage, match=r"palette.png: transparency hides a picture"):
            read(tmp_path / "palette.png")
    background = picture.copy()
    background[:30] = 0
    cut = Image.fromarray(background).convert(mode)
    cut.putalpha(Image.fromarray(alpha))
    cut.save(tmp_path / "cut.png")
    assert np.array_equal(read(tmp_path / "cut.png"), background)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.webp"])
def test_each_exif_orientation_is_that_of_pillow_s_own(tmp_path, picture, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(tmp_path / name, exif=exif, lossless=True)
    turns = {2: (1, 0), 3: (0, 2), 4: (1, 2), 5: (1, 1), 6: (0, 3), 7: (1, 3), 8: (0, 1)}
    mirrored, quarters = turns.get(orientation, (0, 0))
    expected = np.rot90(picture[:, ::-1] if mirrored else picture, quarters)
    assert np.array_equal(read(tmp_path / name), expected)


def test_pages_are_named(tmp_path, picture):
    page = Image.fromarray(picture)
    page.save(tmp_path / "x.tif", save_all=True, append_images=[page])
    with pytest.raises(RefusedImage, match=r"x.tif: 2 pages; expected one picture"):
        read(tmp_path / "x.tif")
