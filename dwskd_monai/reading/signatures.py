"""What a file is, by its name and first bytes; no library that decodes one is needed for that."""

from __future__ import annotations

from pathlib import Path

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
DICOM = (".dcm", ".dicom")
NIFTI = (".nii", ".nii.gz")


def has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether a file is called so, in capitals or not."""
    return path.name.lower().endswith(suffixes)


def is_dicom(path: Path) -> bool:
    """Whether the file begins as DICOM files do."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def is_aside(name: str) -> bool:
    """Whether a file is hidden, or the table of contents of a DICOM disc."""
    return name.startswith(".") or name.upper() == "DICOMDIR"


def files_of_series(folder: Path) -> list[Path]:
    """The files directly in a folder that are DICOM, or are called so, in the order of their names."""
    files = (path for path in folder.iterdir() if path.is_file() and not is_aside(path.name))
    return sorted(path for path in files if path.suffix.lower() in DICOM or is_dicom(path))
