"""The names of the classes in labeled images."""

from __future__ import annotations

from pathlib import Path

from dwskd_monai.data.columns import SPLIT_NAMES
from dwskd_monai.data.images import existing
from dwskd_monai.data.rows import is_datalist, read_rows


def find_class_names(dataset_dir: str | Path, numbers: bool = False) -> list[str]:
    """Names of the classes of a folder, CSV or JSON datalist, in alphabetical order.

    Args:
        dataset_dir: a source that :func:`~dwskd_monai.data.datalist.load_split` takes.
        numbers: whether all labels may be numbers, because the names are known already.

    Raises:
        FileNotFoundError: if it does not exist.
        ValueError: if it names fewer than two classes, or, without ``numbers``, has only numbers for them.
    """
    root = existing(dataset_dir)
    if root.is_dir():
        folders = _folders(root)
        if folders and all(folder.name.lower() in SPLIT_NAMES for folder in folders):
            folders = [inner for folder in folders for inner in _folders(folder)]
        names = {folder.name for folder in folders}
    elif is_datalist(root):
        labels = read_rows(root, ("image", "label"), lambda row: row.label, ignored_columns=None)
        names = {label.strip() for label in labels if label is not None}
    else:
        raise ValueError(f"data: expected a folder, a .csv or a .json file, got {root}")
    if len(names) < 2:
        found = ", ".join(sorted(names)) or "none"
        raise ValueError(f"data: {root} names fewer than two classes ({found}); expected one folder or label per class")
    if not numbers and all(name.isdecimal() for name in names):
        raise ValueError(f"data: {root} has numbers as labels; give the names of the classes in order: --classes a,b")
    return sorted(names)


def _folders(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
