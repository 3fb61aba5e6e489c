"""A packed network runs where there is neither pydicom nor itk nor nibabel; what cannot be read there is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import RLELossless

from dwskd_monai.reading import RefusedImage, dicom_pixels, read_image
from tests.reading.dicom_files import write

READ = """
import sys
for name in ("pydicom", "itk", "nibabel"):
    sys.modules[name] = None
from dwskd_monai.reading import read_image
try:
    print(read_image(sys.argv[1]).pixels.shape)
except ModuleNotFoundError as error:
    print(f"{type(error).__name__}: {error}")
"""


def read(path: Path) -> str:
    return subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True).stdout.strip()


def test_only_compressed_pixels_need_a_decoder(tmp_path, monkeypatch):
    for name in ("itk", "gdcm"):
        monkeypatch.setattr(dicom_pixels, name, None)
    plain = write(tmp_path / "plain.dcm")
    assert read_image(plain).pixels.shape == (1, 40, 56)
    dataset = pydicom.dcmread(plain)
    dataset.compress(RLELossless)
    dataset.save_as(tmp_path / "rle.dcm")
    with pytest.raises(RefusedImage, match=r"rle.dcm: .* compressed \(RLE Lossless\); .* pip install python-gdcm"):
        read_image(tmp_path / "rle.dcm")


def test_a_picture_needs_none(tmp_path):
    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(6, 4)).save(tmp_path / "x.png")
    assert read(tmp_path / "x.png") == "(1, 6, 4)"


@pytest.mark.parametrize(
    ("name", "content", "libraries"),
    [("x.nii.gz", b"\x1f\x8b", "nibabel"), ("IM0001", b"\0" * 128 + b"DICM", "pydicom nibabel python-gdcm")],
)
def test_a_volume_says_what_to_install(tmp_path, name, content, libraries):
    path = tmp_path / name
    path.write_bytes(content)
    printed = read(path)
    assert printed.startswith(f"ModuleNotFoundError: {path}: ")
    assert printed.endswith(f"pip install {libraries}")
