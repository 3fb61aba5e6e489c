"""Labelled images of a folder, a CSV or a JSON datalist, as items for MONAI's datasets, split by patient."""

from __future__ import annotations

import csv
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".dcm", ".dicom")
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
ClassNames = Sequence[str] | Mapping[str, str]


@dataclass(frozen=True)
class LabelledImage:
    """One image of a dataset.

    Args:
        image: its file.
        label: index of its class.
        split: ``training``, ``validation`` or ``test`` where the source says so.
        patient: identifier of the patient, where it is known.
    """

    image: Path
    label: int
    split: str | None = None
    patient: str | None = None


def load_split(
    dataset_dir: str | Path,
    class_names: ClassNames,
    split: str,
    folds: int = 5,
    fold: int = 0,
    seed: int = 0,
    train_fraction: float = 1.0,
) -> list[dict[str, str | int]]:
    """Items ``{"image": path, "label": index}`` of one split, ``"patient"`` too where it is known.

    The source is one of

    - a folder with one folder per class, or with folders ``train``/``val``/``test`` that have these;
    - a CSV with columns ``image`` and ``label``, and optionally ``patient`` and ``split``;
    - a JSON datalist as of the Medical Segmentation Decathlon: ``{"training": [{"image": …, "label": …}, …], …}``,
      each item with an optional ``patient``.

    Paths in files are relative to the file. Where the source names no validation images, fold ``fold`` of ``folds``
    stratified folds of the training images is taken for validation; images of one patient stay together.

    Args:
        dataset_dir: the source.
        class_names: names in the order of the labels, or metadata's ``channel_def``.
        split: ``training``, ``validation``, ``test``, or ``all`` for every image.
        folds: number of folds, 2 or more.
        fold: the fold used for validation, from 0.
        seed: of the folds and of the subset.
        train_fraction: share of the training images to use, in (0, 1], stratified; at least one of each class.

    Raises:
        FileNotFoundError: if the source, or an image of it, does not exist.
        ValueError: for an unknown class, a missing or unknown label, a class without a training image, a patient in
            two splits, a split that the source does not have, or an argument out of range.
    """
    if split not in (*SPLITS, "all"):
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, all; got {split!r}")
    if folds < 2 or not 0 <= fold < folds:
        raise ValueError(f"expected folds >= 2 and 0 <= fold < folds, got folds={folds}, fold={fold}")
    if not 0 < train_fraction <= 1:
        raise ValueError(f"train_fraction must be in (0, 1], got {train_fraction}")
    names = list(class_names.values() if isinstance(class_names, Mapping) else class_names)
    images = read_dataset(dataset_dir, names)
    _refuse_leaks(images, dataset_dir)
    if split == "all":
        return _items(images)
    parts: dict[str, list[LabelledImage]] = {name: [] for name in SPLITS}
    for image in images:
        parts[image.split or "training"].append(image)
    if split == "test":
        if not parts["test"]:
            raise ValueError(f"{dataset_dir} has no test split; use another split, or all for each of its images")
        return _items(parts["test"])
    _refuse_missing_classes(parts["training"], names, dataset_dir)
    if not parts["validation"]:
        parts["training"], parts["validation"] = _split_fold(parts["training"], names, folds, fold, seed)
        _refuse_missing_classes(parts["training"], names, f"{dataset_dir}, without validation fold {fold} of {folds}")
    if train_fraction < 1:
        parts["training"] = _subset(parts["training"], train_fraction, seed)
    chosen = parts[split]
    counts = Counter(names[image.label] for image in chosen)
    _logger.info("%s: %d %s images (%s)", dataset_dir, len(chosen), split, ", ".join(f"{n} {counts[n]}" for n in names))
    return _items(chosen)


def list_images(dataset_dir: str | Path) -> list[dict[str, str]]:
    """Items ``{"image": path}`` of one image, or of all images below a folder, in the order of their names.

    Raises:
        FileNotFoundError: if the path does not exist, or there is no image below it.
    """
    root = _existing(dataset_dir)
    paths = [root] if root.is_file() else sorted(p for p in root.rglob("*") if _is_image(p))
    if not paths:
        raise FileNotFoundError(f"dataset_dir: no image ({', '.join(IMAGE_SUFFIXES)}) below {root}")
    return [{"image": str(path)} for path in paths]


def read_dataset(dataset_dir: str | Path, class_names: Sequence[str]) -> list[LabelledImage]:
    """All labelled images of a folder, CSV or JSON datalist; see :func:`load_split`."""
    root = _existing(dataset_dir)
    if root.is_dir():
        images = list(_read_folder(root, class_names))
    elif root.suffix.lower() == ".csv":
        images = list(_read_csv(root, class_names))
    elif root.suffix.lower() == ".json":
        images = list(_read_json(root, class_names))
    else:
        raise ValueError(f"dataset_dir: expected a folder, a .csv or a .json file, got {root}")
    if not images:
        raise FileNotFoundError(f"dataset_dir: {root} has no labelled image")
    return images


def _existing(dataset_dir: str | Path) -> Path:
    root = Path(dataset_dir).expanduser()
    if not root.exists():
        raise FileNotFoundError(
            f"dataset_dir: {root} does not exist; give a folder with one folder per class, a CSV or a JSON datalist"
        )
    return root


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _read_folder(root: Path, class_names: Sequence[str]) -> Iterable[LabelledImage]:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    splits = [folder for folder in folders if folder.name.lower() in _SPLIT_NAMES]
    if not splits:
        yield from _read_classes(root, folders, class_names, None)
        return
    others = [folder.name for folder in folders if folder not in splits]
    if others:
        raise ValueError(f"{root}: folders of splits ({splits[0].name}) and others ({', '.join(others)}) side by side")
    for split in splits:
        inner = sorted(path for path in split.iterdir() if path.is_dir() and not path.name.startswith("."))
        yield from _read_classes(split, inner, class_names, _SPLIT_NAMES[split.name.lower()])


def _read_classes(
    root: Path, folders: Sequence[Path], class_names: Sequence[str], split: str | None
) -> Iterable[LabelledImage]:
    unknown = [folder.name for folder in folders if folder.name not in class_names]
    if unknown:
        raise ValueError(
            f"{root}: class folder {', '.join(unknown)} is not among the classes of the metadata: "
            f"{', '.join(class_names)}; rename it, move it away, or edit channel_def in metadata.json"
        )
    skipped = 0
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            if _is_image(path):
                yield LabelledImage(path, class_names.index(folder.name), split)
            else:
                skipped += 1
    if skipped:
        _logger.warning("%s: %d files are no images (%s) and were skipped", root, skipped, ", ".join(IMAGE_SUFFIXES))


def _read_csv(path: Path, class_names: Sequence[str]) -> Iterable[LabelledImage]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = {"image", "label"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(
                f"{path}: column {', '.join(sorted(missing))} is missing; expected image, label and optionally "
                f"patient, split; got {', '.join(reader.fieldnames or ())}"
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
    if not file.is_file():
        raise FileNotFoundError(f"{source}: {place}: image {file} does not exist")
    label = row.get("label")
    text = "" if label is None else str(label).strip()
    if text in class_names:
        index = list(class_names).index(text)
    elif text.isdecimal() and int(text) < len(class_names):
        index = int(text)
    else:
        what = f"unknown label {text!r}" if text else "no label"
        raise ValueError(
            f"{source}: {place}: {what}; expected one of {', '.join(class_names)} or 0 to {len(class_names) - 1}"
        )
    part = str(split or "").strip().lower()
    if part and part not in _SPLIT_NAMES:
        raise ValueError(f"{source}: {place}: unknown split {part!r}; expected one of {', '.join(_SPLIT_NAMES)}")
    patient = row.get("patient")
    return LabelledImage(file, index, _SPLIT_NAMES.get(part), None if patient in (None, "") else str(patient).strip())


def _refuse_leaks(images: Sequence[LabelledImage], source: str | Path) -> None:
    """A patient in two splits would make the measured quality a lie."""
    splits: dict[str, set[str]] = defaultdict(set)
    for image in images:
        if image.patient is not None:
            splits[image.patient].add(image.split or "training")
    leaked = sorted(patient for patient, parts in splits.items() if len(parts) > 1)
    if leaked:
        raise ValueError(
            f"{source}: {len(leaked)} patients are in more than one split: {', '.join(leaked[:10])}"
            + (", …" if len(leaked) > 10 else "")
            + "; give all images of a patient the same split"
        )


def _refuse_missing_classes(images: Sequence[LabelledImage], names: Sequence[str], source: str | Path) -> None:
    present = {image.label for image in images}
    missing = [name for index, name in enumerate(names) if index not in present]
    if missing:
        raise ValueError(f"{source}: no training image of class {', '.join(missing)}")


def _groups(images: Sequence[LabelledImage]) -> list[str]:
    """One group per patient; an image of an unknown patient is a group of its own."""
    return [f"image {i}" if image.patient is None else f"patient {image.patient}" for i, image in enumerate(images)]


def _split_fold(
    images: list[LabelledImage], names: Sequence[str], folds: int, fold: int, seed: int
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    labels, groups = [image.label for image in images], _groups(images)
    for index, name in enumerate(names):
        count = len({group for group, label in zip(groups, labels) if label == index})
        if count < folds:
            raise ValueError(
                f"class {name} has training images of only {count} patients, too few for {folds} folds; "
                "give a validation split, or a smaller number of folds"
            )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    training, validation = list(splitter.split(np.zeros(len(images)), labels, groups))[fold]
    return [images[i] for i in training], [images[i] for i in validation]


def _subset(images: list[LabelledImage], fraction: float, seed: int) -> list[LabelledImage]:
    """Whole patients in random order, until each class has its share."""
    groups = _groups(images)
    members: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    wanted = {label: max(1, round(fraction * n)) for label, n in Counter(image.label for image in images).items()}
    have: Counter[int] = Counter()
    order = list(members)
    np.random.default_rng(seed).shuffle(order)
    chosen: list[int] = []
    for group in order:
        labels = [images[index].label for index in members[group]]
        if any(have[label] < wanted[label] for label in labels):
            chosen += members[group]
            have.update(labels)
    return [images[index] for index in sorted(chosen)]


def _items(images: Sequence[LabelledImage]) -> list[dict[str, str | int]]:
    items: list[dict[str, str | int]] = []
    for image in images:
        items.append({"image": str(image.image), "label": image.label})
        if image.patient is not None:
            items[-1]["patient"] = image.patient
    return items
