"""Synthetic studies: small, deterministic, and with classes that a network must learn to see."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from dwskd_monai.data.phantoms import brain_mri, chest_xray, lung_ct

MODALITIES = {"chest_xray": chest_xray, "lung_ct": lung_ct, "brain_mri": brain_mri}


def make_phantoms(modality: str, directory: str | Path, count: int | None = None, seed: int = 0) -> Path:
    """Write synthetic studies of a modality below ``directory``.

    There are folders ``train`` and ``test`` with one folder per class, and ``datalist.csv``. Patients have one to three
    images, or one or two studies, all of one class and split; one patient in four is a test patient.

    Args:
        modality: ``chest_xray``, ``lung_ct`` or ``brain_mri``.
        directory: a new or empty folder.
        count: images, or studies of volumes; each modality has its own default.
        seed: the same seed writes the same bytes.

    Returns:
        The CSV datalist of all studies, with patient and split.

    Raises:
        ValueError: for an unknown modality or too small a number.
        FileExistsError: if ``directory`` has content.
    """
    maker = _maker(modality)
    count = maker.COUNT if count is None else count
    if count < maker.LEAST:
        raise ValueError(f"count must be at least {maker.LEAST}, so that each split has each class; got {count}")
    folder = Path(directory)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty; give a new folder, or remove it first")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows: list[list[str]] = []
    patient = 0
    with tqdm(total=count, desc=f"{modality} phantoms", disable=None) as progress:
        while len(rows) < count:
            name = maker.CLASSES[patient % len(maker.CLASSES)]
            split = "test" if patient // len(maker.CLASSES) % 4 == 3 else "train"
            identifier = f"P{patient:04d}"
            for _ in range(min(int(rng.integers(1, maker.MOST_PER_PATIENT + 1)), count - len(rows))):
                path = folder / split / name / f"{len(rows):04d}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path = maker.write(name, path, len(rows), identifier, rng)
                rows.append([path.relative_to(folder).as_posix(), name, identifier, split])
                progress.update()
            patient += 1
    datalist = folder / "datalist.csv"
    with datalist.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "patient", "split"])
        writer.writerows(rows)
    return datalist


def make_phantom(modality: str, path: str | Path, seed: int = 0) -> Path:
    """Write one synthetic study, of the first class, a PNG or NIfTI file.

    Args:
        modality: ``chest_xray``, ``lung_ct`` or ``brain_mri``.
        path: the file without its suffix.
        seed: the same seed writes the same pixels.

    Returns:
        The file.

    Raises:
        ValueError: for an unknown modality.
    """
    maker = _maker(modality)
    written: Path = maker.write(maker.CLASSES[0], Path(path), 0, "P0000", np.random.default_rng(seed))
    return written


def make_phantom_of(bundle: str, path: str | Path, otherwise: str) -> Path:
    """:func:`make_phantom` of the modality that a bundle's name begins with.

    Args:
        bundle: its name, such as ``lung_ct_classification``.
        path: the file without its suffix.
        otherwise: what to do if there is no phantom of the modality, for the message.

    Raises:
        ValueError: if there is no phantom of the modality.
    """
    modality = bundle.removesuffix("_classification")
    if modality not in MODALITIES:
        raise ValueError(f"{bundle}: {otherwise}. Without it, only {', '.join(MODALITIES)} have a synthetic study")
    return make_phantom(modality, path)


def _maker(modality: str) -> Any:
    if modality not in MODALITIES:
        raise ValueError(f"modality must be one of {', '.join(MODALITIES)}; got {modality!r}")
    return MODALITIES[modality]
