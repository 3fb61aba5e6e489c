"""Images without labels: what inference is run on."""

from __future__ import annotations

from pathlib import Path

from dwskd_monai.arguments import flag
from dwskd_monai.reading.find import find_images
from dwskd_monai.reading.formats import SUFFIXES


def list_images(dataset_dir: str | Path, dicom_series: bool = True) -> list[dict[str, str]]:
    """Items ``{"image": path, "study": path}`` of one image, or of all images below a folder, by their names.

    Args:
        dataset_dir: a file, a folder of images, or the folder of a DICOM series.
        dicom_series: whether DICOM files in one folder are the slices of one volume.

    Raises:
        FileNotFoundError: if the path does not exist, or there is no image below it.
    """
    root = existing(dataset_dir)
    paths = [root] if root.is_file() else find_images(root, flag("dicom_series", dicom_series), True)[0]
    if not paths:
        raise FileNotFoundError(f"dataset_dir: no image ({', '.join(SUFFIXES)}) below {root}")
    return [{"image": str(path), "study": str(path)} for path in paths]


def existing(dataset_dir: str | Path) -> Path:
    """The path of a source; raises FileNotFoundError if there is nothing there."""
    root = Path(dataset_dir).expanduser()
    if not root.exists():
        raise FileNotFoundError(
            f"dataset_dir: {root} does not exist; give a folder with one folder per class, a CSV or a JSON datalist"
        )
    return root
