"""Synthetic studies: small, deterministic, and with classes that a network must learn to see."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset, validate_file_meta
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

CHEST_XRAY_CLASSES = ("covid19", "no_findings", "pneumonia")
Pixels = NDArray[np.float64]


def make_phantoms(modality: str, directory: str | Path, count: int = 240, seed: int = 0) -> Path:
    """Write synthetic studies of a modality below ``directory``.

    Args:
        modality: ``chest_xray``.
        directory: a new or empty folder.
        count: images.
        seed: the same seed writes the same bytes.

    Returns:
        The CSV datalist of all images, with patient and split.

    Raises:
        ValueError: for an unknown modality or too few images.
        FileExistsError: if ``directory`` has content.
    """
    writers = {"chest_xray": _chest_xrays}
    if modality not in writers:
        raise ValueError(f"modality must be one of {', '.join(writers)}; got {modality!r}")
    if count < 60:
        raise ValueError(f"count must be at least 60, so that each split has each class; got {count}")
    folder = Path(directory)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty; give a new folder, or remove it first")
    folder.mkdir(parents=True, exist_ok=True)
    return writers[modality](folder, count, seed)


def _chest_xrays(folder: Path, count: int, seed: int) -> Path:
    """Folders ``train`` and ``test`` with one folder per class, and ``datalist.csv``.

    Half the images are 8-bit PNG, a quarter 16-bit PNG (12 used), a quarter 12-bit DICOM, of which every other one is
    MONOCHROME1. Patients have one to three images, all of one class and split; one patient in four is a test patient.
    """
    rng = np.random.default_rng(seed)
    rows, patient, index = [], 0, 0
    with tqdm(total=count, desc="chest X-ray phantoms") as progress:
        while index < count:
            name = CHEST_XRAY_CLASSES[patient % 3]
            split = "test" if patient // 3 % 4 == 3 else "train"
            identifier = f"P{patient:04d}"
            for _ in range(min(int(rng.integers(1, 4)), count - index)):
                pixels = chest_xray(name, rng)
                path = folder / split / name / f"{index:04d}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path = _write(pixels, path, index, identifier, rng)
                rows.append([path.relative_to(folder).as_posix(), name, identifier, split])
                index += 1
                progress.update()
            patient += 1
    datalist = folder / "datalist.csv"
    with datalist.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "patient", "split"])
        writer.writerows(rows)
    return datalist


def chest_xray(name: str, rng: np.random.Generator) -> Pixels:
    """One frontal chest X-ray ``(H, W)`` with values around 0, brighter is denser.

    The lungs of ``no_findings`` are clear; ``pneumonia`` has one large consolidation in one lung; ``covid19`` has
    several small faint opacities at the periphery of both. Mean and contrast are equal in all images, so brightness
    says nothing about the class.
    """
    height, width = int(rng.integers(150, 190)), int(rng.integers(140, 170))
    y, x = np.mgrid[0:height, 0:width]
    v, u = 2 * y / height - 1 + rng.normal(0, 0.03), 2 * x / width - 1 + rng.normal(0, 0.03)
    image = 1.2 * _blob(u, v, 0, 0.1, 0.85 * rng.normal(1, 0.04), 1.05, 8)  # the body
    lungs = []
    for side in (-1, 1):
        centre, tilt = side * rng.normal(0.42, 0.02), side * rng.normal(0.12, 0.03)
        half_width, half_height = rng.normal(0.29, 0.02), rng.normal(0.68, 0.03)
        lung = _blob(u - tilt * v, v, centre, rng.normal(-0.02, 0.03), half_width, half_height, 6)
        lungs.append((lung, centre, tilt, half_width, half_height))
        image -= 0.75 * lung
    image += 0.5 * np.exp(-((u / 0.09) ** 2))  # spine
    image += 0.55 * _blob(u, v, rng.normal(0.14, 0.03), rng.normal(0.35, 0.04), 0.26, 0.3, 4)  # heart
    image += 0.12 * np.maximum(0, np.sin(rng.normal(17, 1) * (v - 0.35 * u**2) + rng.uniform(0, 6))) ** 2  # ribs
    if name == "pneumonia":
        image += _opacity(u, v, lungs[int(rng.integers(2))], rng, count=1, size=(0.2, 0.3), strength=0.55, reach=0.45)
    elif name == "covid19":
        for both in lungs:
            image += _opacity(
                u, v, both, rng, count=int(rng.integers(3, 6)), size=(0.07, 0.12), strength=0.4, reach=0.8
            )
    image = gaussian_filter(image, 0.8) + rng.normal(0, 0.03, image.shape)
    image += 0.1 * gaussian_filter(rng.normal(0, 1, image.shape), 12) * 12  # uneven exposure
    return (image - image.mean()) / image.std()


def _blob(u: Pixels, v: Pixels, cu: float, cv: float, ru: float, rv: float, edge: float) -> Pixels:
    """A soft ellipse of height 1."""
    radius = np.sqrt(((u - cu) / ru) ** 2 + ((v - cv) / rv) ** 2)
    return 1 / (1 + np.exp(edge * 2 * (radius - 1)))


def _opacity(
    u: Pixels,
    v: Pixels,
    lung: tuple[Pixels, float, float, float, float],
    rng: np.random.Generator,
    count: int,
    size: tuple[float, float],
    strength: float,
    reach: float,
) -> Pixels:
    """Textured opacities inside a lung, ``reach`` of the way from its centre to its outer edge."""
    shape, centre, tilt, half_width, half_height = lung
    texture = 1 + 0.35 * gaussian_filter(rng.normal(0, 1, u.shape), 2) * 6
    total = np.zeros_like(u)
    for _ in range(count):
        angle = rng.uniform(-1.3, 1.3)
        cv = reach * half_height * np.sin(angle)
        cu = centre + np.sign(centre) * reach * half_width * np.cos(angle) * rng.uniform(0.6, 1) + tilt * cv
        radius = rng.uniform(*size)
        total += _blob(u, v, cu, cv, radius, radius * rng.uniform(0.8, 1.6), 3)
    return strength * np.minimum(total, 1.2) * shape * texture


def _write(pixels: Pixels, path: Path, index: int, patient: str, rng: np.random.Generator) -> Path:
    """Write with a random exposure as 8-bit PNG, 16-bit PNG or DICOM, in turn."""
    spread, level = rng.uniform(0.14, 0.2), rng.uniform(0.45, 0.55)
    unit = np.clip(level + spread * pixels, 0, 1)
    kind = index % 4
    if kind < 2:
        path = path.with_suffix(".png")
        Image.fromarray(np.round(unit * 255).astype(np.uint8)).save(path)
    elif kind == 2:
        path = path.with_suffix(".png")
        Image.fromarray(np.round(unit * 4095).astype(np.uint16)).save(path)
    else:
        path = path.with_suffix(".dcm")
        _write_dicom(np.round(unit * 4095).astype(np.uint16), path, patient, inverted=index % 8 == 7)
    return path


def _write_dicom(stored: NDArray[np.uint16], path: Path, patient: str, inverted: bool) -> None:
    """A secondary-capture DICOM of 12 bits; ``inverted`` stores the same picture as MONOCHROME1."""
    uids = [generate_uid(entropy_srcs=[path.stem, patient, part]) for part in ("image", "study", "series")]
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, uids[0]
    validate_file_meta(meta)
    meta.FileMetaInformationGroupLength = 0  # filled in when it is written
    dataset = FileDataset(
        str(path), {}, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=False, is_little_endian=True
    )
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, uids[0]
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uids[1:]
    dataset.Modality, dataset.PatientID, dataset.PatientName = "DX", patient, f"Phantom^{patient}"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    dataset.PixelData = (4095 - stored if inverted else stored).astype("<u2").tobytes()
    dataset.save_as(path)
