"""Compressed DICOM by python-gdcm, where there is no ITK: the same numbers, and the same refusals."""

from __future__ import annotations

from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import MPEG4HP41BD

from dwskd_monai.reading import RefusedImage, dicom_pixels, read_image
from tests.reading.dicom_files import write

SYNTAXES = {
    "JPEG Lossless": (gdcm.TransferSyntax.JPEGLosslessProcess14_1, True),
    "JPEG-LS": (gdcm.TransferSyntax.JPEGLSLossless, True),
    "JPEG-LS, near lossless": (gdcm.TransferSyntax.JPEGLSNearLossless, False),
    "JPEG 2000, lossless": (gdcm.TransferSyntax.JPEG2000Lossless, True),
    "JPEG 2000": (gdcm.TransferSyntax.JPEG2000, False),
    "RLE": (gdcm.TransferSyntax.RLELossless, True),
    "JPEG Extended, 12 bits": (gdcm.TransferSyntax.JPEGExtendedProcess2_4, False),
}
CASES = [
    (name, bits, signed)
    for name in SYNTAXES
    for bits in (12, 16)
    for signed in (False, True)
    if not name.startswith("JPEG Extended") or (bits, signed) == (12, False)  # it has no other numbers
]


def compressed(path: Path, plain: Path, syntax: int) -> Path:
    """A file with its pixels in another transfer syntax."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(plain))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()
    return path


def of_both(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    by_itk = read_image(path).pixels
    without_itk(monkeypatch)
    return by_itk, read_image(path).pixels


def without_itk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_pixels, "itk", None)
    monkeypatch.setattr(dicom_pixels, "gdcm", gdcm)


@pytest.mark.parametrize(("name", "bits", "signed"), CASES)
def test_both_decode_the_same_numbers(tmp_path, monkeypatch, name, bits, signed):
    syntax, lossless = SYNTAXES[name]
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    pixels = np.random.default_rng(0).integers(low, high, (40, 56)).astype(np.int16 if signed else np.uint16)
    plain = write(tmp_path / "plain.dcm", pixels, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=int(signed))
    by_itk, by_gdcm = of_both(compressed(tmp_path / "x.dcm", plain, syntax), monkeypatch)
    assert np.array_equal(by_itk, by_gdcm)
    if lossless:
        assert np.array_equal(by_gdcm, read_image(plain).pixels)


@pytest.mark.parametrize("name", SYNTAXES)
def test_both_refuse_what_is_cut_off(tmp_path, monkeypatch, name):
    pixels = np.random.default_rng(0).integers(0, 4096, (40, 56)).astype(np.uint16)
    plain = write(tmp_path / "plain.dcm", pixels, BitsStored=12, HighBit=11)
    path = compressed(tmp_path / "x.dcm", plain, SYNTAXES[name][0])
    dataset = pydicom.dcmread(path)
    (frame,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = pydicom.encaps.encapsulate([frame[: len(frame) // 2]])
    dataset.save_as(path)
    for decoder in ("itk", "gdcm"):
        if decoder == "gdcm":
            without_itk(monkeypatch)
        with pytest.raises(RefusedImage, match="pixels cannot be decoded"):
            read_image(path)


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        (MPEG4HP41BD, "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1"),
        ("1.2.840.10008.1.2.4.201", r"High-Throughput JPEG 2000 Image Compression \(Lossless Only\)"),
        ("1.2.840.10008.1.2.4.110", r"(JPEG XL Lossless|1\.2\.840\.10008\.1\.2\.4\.110)"),  # unknown to some pydicoms
        ("1.2.840.99999.1.2.4.103", "1.2.840.99999.1.2.4.103"),  # of a vendor
    ],
)
@pytest.mark.parametrize("decoder", ["itk", "gdcm", None])
def test_what_none_decodes_is_not_called_damaged(tmp_path, monkeypatch, decoder, syntax, name):
    plain = write(tmp_path / "plain.dcm", np.random.default_rng(0).integers(0, 4096, (40, 56)).astype(np.uint16))
    path = compressed(tmp_path / "x.dcm", plain, SYNTAXES["JPEG-LS"][0])
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = MPEG4HP41BD
    dataset.save_as(path)
    path.write_bytes(path.read_bytes().replace(MPEG4HP41BD.encode(), syntax.encode()))
    if decoder != "itk":
        without_itk(monkeypatch)
    if decoder is None:
        monkeypatch.setattr(dicom_pixels, "gdcm", None)
    with pytest.raises(RefusedImage, match=f"its transfer syntax is {name}; expected no compression, JPEG") as refusal:
        read_image(path)
    assert refusal.value.kind == "format"
    assert refusal.value.instance == dataset.SOPInstanceUID
