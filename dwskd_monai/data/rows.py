"""Rows of a datalist: a CSV file, or JSON as of the Medical Segmentation Decathlon."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLUMNS = ("image", "label", "patient", "study", "split")
SPLIT_NAMES = {
    "training": "training",
    "train": "training",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Row:
    """An image of a datalist, and what the datalist says of it.

    Args:
        image: its file, or the folder of its DICOM series; it exists.
        label: as it is written there.
        split: ``training``, ``validation`` or ``test``, if the row says so.
        patient: identifier of the patient, if the row has one.
        study: identifier of the examination, if the row has one.
        place: of the row, for messages.
    """

    image: Path
    label: Any
    split: str | None
    patient: str | None
    study: str | None
    place: str


def is_datalist(path: Path) -> bool:
    """Whether a file is one of those that :func:`read_rows` reads, by its name."""
    return path.suffix.lower() in (".csv", ".json")


def read_rows(path: Path, needed: Sequence[str]) -> Iterator[Row]:
    """The rows of a ``.csv`` or ``.json`` file.

    Args:
        path: the file; paths of images are relative to its folder.
        needed: columns that a CSV file must have.

    Raises:
        FileNotFoundError: if an image does not exist.
        ValueError: for a missing column or image, an unknown split, or a file of another form.
    """
    return _read_csv(path, needed) if path.suffix.lower() == ".csv" else _read_json(path)


def _read_csv(path: Path, needed: Sequence[str]) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [column for column in needed if column not in (reader.fieldnames or ())]
        if missing:
            further = [column for column in COLUMNS if column not in needed]
            raise ValueError(
                f"{path}: column {', '.join(missing)} is missing; expected {', '.join(needed)} and optionally "
                f"{', '.join(further)}; got {', '.join(reader.fieldnames or ())}"
            )
        for values in reader:
            yield _row(values, values.get("split"), path, f"line {reader.line_num}")


def _read_json(path: Path) -> Iterator[Row]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(content, dict) or not any(name in SPLIT_NAMES for name in content):
        raise ValueError(f"{path}: expected an object with a list under training, and optionally validation and test")
    for name, rows in content.items():
        if name not in SPLIT_NAMES or not isinstance(rows, list):
            continue  # a Decathlon datalist has a description, a license and more beside its lists
        for index, values in enumerate(rows):
            if not isinstance(values, dict):
                raise ValueError(f"{path}: {name}[{index}]: expected an object with image and label, got {values!r}")
            # "training" alone does not forbid taking a validation fold from it.
            yield _row(values, name, path, f"{name}[{index}]")


def _row(values: Mapping[str, Any], split: Any, source: Path, place: str) -> Row:
    place = f"{source}: {place}"
    image = str(values.get("image") or "").strip()
    if not image:
        raise ValueError(f"{place}: no image")
    file = source.parent / Path(image).expanduser()
    if not file.exists():
        raise FileNotFoundError(f"{place}: image {file} does not exist")
    part = str(split or "").strip().lower()
    if part and part not in SPLIT_NAMES:
        raise ValueError(f"{place}: unknown split {part!r}; expected one of {', '.join(SPLIT_NAMES)}")
    return Row(
        file,
        values.get("label"),
        SPLIT_NAMES.get(part),
        str(values.get("patient") or "").strip() or None,
        str(values.get("study") or "").strip() or None,
        place,
    )
