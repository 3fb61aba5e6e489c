"""Bits above those that a file says to store: of an overlay, of a sign, of padding, or of the numbers themselves."""

from __future__ import annotations

import logging

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import JPEG2000, JPEG2000Lossless, RLELossless

from dwskd_monai.reading import RefusedImage, read_image
from tests.reading.dicom_files import change, write
from tests.reading.test_dicom_header import encapsulated, jpeg_2000

TOO_FEW = (
    r"x.dcm: BitsStored is 12, for numbers from 0 to 4095, but pixels have \d+ to \d+, whose upper bits would be lost"
)


def smooth(highest: float) -> NDArray[np.uint16]:
    """A bright disc that fades, with noise, as a detector sees it."""
    rows, columns = np.mgrid[-1:1:40j, -1:1:56j]
    noise = np.random.default_rng(0).normal(0, 20, rows.shape)
    return np.clip(highest * np.exp(-2 * (rows**2 + columns**2)) + noise + 50, 0, 65535).astype(np.uint16)


@pytest.mark.parametrize("highest", [4500, 6000, 16000, 60000])
def test_numbers_of_more_bits_than_are_stored_are_refused_with_both(tmp_path, highest):
    pixels = smooth(highest)
    with pytest.raises(RefusedImage, match=TOO_FEW) as caught:
        read_image(write(tmp_path / "x.dcm", pixels))
    assert f"{pixels.min()} to {pixels.max()}" in caught.value.reason
    assert caught.value.kind == "header"
    change(tmp_path / "x.dcm", BitsStored=16, HighBit=15)
    assert np.array_equal(read_image(tmp_path / "x.dcm").pixels[0], pixels)


def test_so_are_those_of_compressed_pictures(tmp_path):
    path = write(tmp_path / "rle.dcm", smooth(16000), BitsStored=16, HighBit=15)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.save_as(tmp_path / "x.dcm")
    change(tmp_path / "x.dcm", BitsStored=12, HighBit=11)
    with pytest.raises(RefusedImage, match=TOO_FEW):
        read_image(tmp_path / "x.dcm")
    for syntax in (JPEG2000Lossless, JPEG2000):
        with pytest.raises(RefusedImage, match=TOO_FEW):
            read_image(encapsulated(tmp_path / "x.dcm", jpeg_2000(smooth(16000)), syntax))


def test_negative_numbers_of_more_bits_are_refused_too(tmp_path):
    pixels = smooth(6000).astype(np.int16) - 3000
    path = write(tmp_path / "x.dcm", pixels.astype(np.uint16), PixelRepresentation=1)
    with pytest.raises(
        RefusedImage, match=r"BitsStored is 12, for numbers from -2048 to 2047, but pixels have -2\d+ to 3"
    ):
        read_image(path)


def test_bits_of_an_overlay_are_cleared_and_said(tmp_path, caplog):
    pixels = smooth(3000)
    expected = read_image(write(tmp_path / "a.dcm", pixels)).pixels
    drawn = pixels.copy()
    drawn[10:20, 10:30] |= 0x1000
    drawn[25:27, 5:50] |= 0x8000
    assert np.array_equal(read_image(write(tmp_path / "x.dcm", drawn)).pixels, expected)
    assert "x.dcm: bits above BitsStored are set in 1 of 1 slices; they were cleared" in caplog.text


@pytest.mark.parametrize("extended", [True, False])
def test_a_sign_is_read_whether_it_is_extended_or_not(tmp_path, caplog, extended):
    pixels = smooth(2800).astype(np.int16) - 1000
    words = pixels.astype(np.uint16)
    path = write(tmp_path / "x.dcm", words if extended else words & 0x0FFF, PixelRepresentation=1)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(read_image(path).pixels[0], pixels)
    assert caplog.text == ""


def test_padding_may_have_more_bits_than_numbers(tmp_path):
    pixels = smooth(3000)
    pixels[:10] = 63536  # -2000
    path = write(tmp_path / "x.dcm", pixels, PixelPaddingValue=63536)
    image = read_image(path)
    assert np.array_equal(image.pixels[0, 10:], pixels[10:])
    assert image.pixels[0, :10].max() <= pixels[10:].min()
    pixels[10:] = smooth(16000)[10:]
    with pytest.raises(RefusedImage, match="BitsStored is 12"):
        read_image(write(tmp_path / "x.dcm", pixels, PixelPaddingValue=63536))


def test_lossy_compression_may_overshoot_a_little(tmp_path):
    pixels = np.clip(smooth(4200), 0, 4095)
    assert pixels.max() == 4095
    pixels[20, 28] = 4100  # as a decoder may make of 4095
    image = read_image(encapsulated(tmp_path / "x.dcm", jpeg_2000(pixels), JPEG2000))
    assert image.pixels.max() == 4095
