"""Labelled images of a folder, a CSV or a JSON datalist."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dwskd_monai.data.images import existing
from dwskd_monai.data.labels import label_index
from dwskd_monai.reading.find import find_images
from dwskd_monai.reading.formats import SUFFIXES

SPLITS = ("training", "validation", "test")
_SPLIT_NAMES = {
    "training": "training",
    "train": "training",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledImage:
    """One image of a dataset: a picture, or a volume with many slices.

    Args:
        image: its file, or the folder of its DICOM series.
        label: index of its class.
        split: ``training``, ``validation`` or ``test`` where the source says so.
        patient: identifier of the patient, where it is known.
        study: identifier of the examination, where it has several images; an image is a study of its own otherwise.
    """

    image: Path
    label: int
    split: str | None = None
    patient: str | None = None
    study: str | None = None


def read_dataset(dataset_dir: str | Path, class_names: Sequence[str], dicom_series: bool = True) -> list[LabelledImage]:
    """All labelled images of a folder, CSV or JSON datalist; see :func:`dwskd_monai.data.datalist.load_split`.

    Args:
        dataset_dir: the source.
        class_names: names in the order of the labels.
        dicom_series: whether DICOM files in a folder below that of a class are the slices of one volume.

    Raises:
        FileNotFoundError: if the source or an image of it does not exist, or it has no image.
        ValueError: for an unknown class, a missing or unknown label or split, or a source of another form.
    """
    root = existing(dataset_dir)
    if root.is_dir():
        images = list(_read_folder(root, class_names, dicom_series))
    elif root.suffix.lower() == ".csv":
        images = list(_read_csv(root, class_names))
    elif root.suffix.lower() == ".json":
        images = list(_read_json(root, class_names))
    else:
        raise ValueError(f"dataset_dir: expected a folder, a .csv or a .json file, got {root}")
    if not images:
        raise FileNotFoundError(f"dataset_dir: {root} has no labelled image")
    return images


def _read_folder(root: Path, class_names: Sequence[str], dicom_series: bool) -> Iterable[LabelledImage]:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    splits = [folder for folder in folders if folder.name.lower() in _SPLIT_NAMES]
    if not splits:
        yield from _read_classes(root, folders, class_names, dicom_series, None)
        return
    others = [folder.name for folder in folders if folder not in splits]
    if others:
        raise ValueError(f"{root}: folders of splits ({splits[0].name}) and others ({', '.join(others)}) side by side")
    for split in splits:
        inner = sorted(path for path in split.iterdir() if path.is_dir() and not path.name.startswith("."))
        yield from _read_classes(split, inner, class_names, dicom_series, _SPLIT_NAMES[split.name.lower()])


def _read_classes(
    root: Path, folders: Sequence[Path], class_names: Sequence[str], dicom_series: bool, split: str | None
) -> Iterable[LabelledImage]:
    unknown = [folder.name for folder in folders if folder.name not in class_names]
    if unknown:
        raise ValueError(
            f"{root}: class folder {', '.join(unknown)} is not among the classes of the metadata: "
            f"{', '.join(class_names)}; rename it, move it away, or edit channel_def in metadata.json"
        )
    skipped = 0
    for folder in folders:
        images, others = find_images(folder, dicom_series)
        skipped += len(others)
        yield from (LabelledImage(path, class_names.index(folder.name), split) for path in images)
    if skipped:
        _logger.warning("%s: %d files are no images (%s) and were skipped", root, skipped, ", ".join(SUFFIXES))


def _read_csv(path: Path, class_names: Sequence[str]) -> Iterable[LabelledImage]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = {"image", "label"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(
                f"{path}: column {', '.join(sorted(missing))} is missing; expected image, label and optionally "
                f"patient, study, split; got {', '.join(reader.fieldnames or ())}"
            )
        for row in reader:
            yield _labelled(row, row.get("split"), path, f"line {reader.line_num}", class_names)


def _read_json(path: Path, class_names: Sequence[str]) -> Iterable[LabelledImage]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(content, dict) or not any(name in _SPLIT_NAMES for name in content):
        raise ValueError(f"{path}: expected an object with a list under training, and optionally validation and test")
    for name, rows in content.items():
        if name not in _SPLIT_NAMES or not isinstance(rows, list):
            continue  # a Decathlon datalist has a description, a licence and more beside its lists
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                raise ValueError(f"{path}: {name}[{index}]: expected an object with image and label, got {row!r}")
            # "training" alone does not forbid taking a validation fold from it.
            yield _labelled(row, name, path, f"{name}[{index}]", class_names)


def _labelled(
    row: Mapping[str, object], split: object, source: Path, place: str, class_names: Sequence[str]
) -> LabelledImage:
    image = str(row.get("image") or "").strip()
    if not image:
        raise ValueError(f"{source}: {place}: no image")
    file = source.parent / Path(image).expanduser()
    if not file.exists():
        raise FileNotFoundError(f"{source}: {place}: image {file} does not exist")
    index = label_index(row.get("label"), class_names, f"{source}: {place}")
    part = str(split or "").strip().lower()
    if part and part not in _SPLIT_NAMES:
        raise ValueError(f"{source}: {place}: unknown split {part!r}; expected one of {', '.join(_SPLIT_NAMES)}")
    patient, study = (str(row.get(name) or "").strip() or None for name in ("patient", "study"))
    return LabelledImage(file, index, _SPLIT_NAMES.get(part), patient, study)
