"""Items for MONAI's datasets, split by patient."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from dwskd_monai.data.labels import ClassNames, in_order
from dwskd_monai.data.sources import SPLITS, LabeledImage, read_dataset
from dwskd_monai.reading import dicom

_logger = logging.getLogger(__name__)


def load_split(
    dataset_dir: str | Path,
    class_names: ClassNames,
    split: str,
    folds: int = 5,
    fold: int = 0,
    seed: int = 0,
    train_fraction: float = 1.0,
    dicom_series: bool = True,
    dicom_patients: bool = True,
) -> list[dict[str, str | int]]:
    """Items ``{"image": path, "label": index, "study": identifier}`` of one split, ``"patient"`` too if it is known.

    The source is one of

    - a folder with one folder per class, or with folders ``train``/``val``/``test`` that have these;
    - a CSV with columns ``image`` and ``label``, and optionally ``patient``, ``study`` and ``split``;
    - a JSON datalist as of the Medical Segmentation Decathlon: ``{"training": [{"image": …, "label": …}, …], …}``,
      each item with an optional ``patient`` and ``study``.

    An image is a file or the folder of a DICOM series; paths in files are relative to the file. Where the source names
    no validation images, fold ``fold`` of ``folds`` stratified folds of the training images is taken for validation;
    images of one patient stay together. Where the source names no patient, DICOM images have that of their header.

    Args:
        dataset_dir: the source.
        class_names: names in the order of the labels, or metadata's ``channel_def``.
        split: ``training``, ``validation``, ``test``, or ``all`` for every image.
        folds: number of folds, 2 or more.
        fold: the fold used for validation, from 0; only where the source names no validation images.
        seed: of the folds and of the subset.
        train_fraction: share of the training images to use, in (0, 1], stratified; at least one of each class.
        dicom_series: whether DICOM files in a folder below that of a class are the slices of one volume.
        dicom_patients: whether to take patients from DICOM headers; False for files that were given all the same one.

    Raises:
        FileNotFoundError: if the source, or an image of it, does not exist.
        ValueError: for an unknown class, a missing or unknown label, a class without a training image, a patient or
            study in two splits, a study with two labels, a split that the source does not have, or an argument out of
            range.
    """
    if split not in (*SPLITS, "all"):
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, all; got {split!r}")
    if folds < 2 or not 0 <= fold < folds:
        raise ValueError(f"expected folds >= 2 and 0 <= fold < folds, got folds={folds}, fold={fold}")
    if not 0 < train_fraction <= 1:
        raise ValueError(f"train_fraction must be in (0, 1], got {train_fraction}")
    names = in_order(class_names)
    images = read_dataset(dataset_dir, names, dicom_series)
    _refuse_divided_studies(images, dataset_dir)
    if dicom_patients:
        images = [_with_dicom_patient(image) for image in images]
    _refuse_leaks(images, dataset_dir)
    if split == "all":
        return _items(images)
    parts: dict[str, list[LabeledImage]] = {name: [] for name in SPLITS}
    for image in images:
        parts[image.split or "training"].append(image)
    if split == "test":
        if not parts["test"]:
            raise ValueError(f"{dataset_dir} has no test split; use another split, or all for each of its images")
        return _items(parts["test"])
    _refuse_missing_classes(parts["training"], names, dataset_dir)
    if parts["validation"] and fold:
        raise ValueError(f"fold {fold}: {dataset_dir} names its validation images and has no folds; leave fold out")
    if not parts["validation"]:
        parts["training"], parts["validation"] = _split_fold(parts["training"], names, folds, fold, seed)
        _refuse_missing_classes(parts["training"], names, f"{dataset_dir}, without validation fold {fold} of {folds}")
    if train_fraction < 1:
        parts["training"] = _subset(parts["training"], train_fraction, seed)
    chosen = parts[split]
    counts = Counter(names[image.label] for image in chosen)
    _logger.info("%s: %d %s images (%s)", dataset_dir, len(chosen), split, ", ".join(f"{n} {counts[n]}" for n in names))
    return _items(chosen)


def _with_dicom_patient(image: LabeledImage) -> LabeledImage:
    return image if image.patient is not None else replace(image, patient=dicom.patient_of(image.image))


def _refuse_divided_studies(images: Sequence[LabeledImage], source: str | Path) -> None:
    """A study is predicted as a whole, so all its images have one label, patient and split."""
    seen: dict[str, LabeledImage] = {}
    for image in images:
        if image.study is None:
            continue
        first = seen.setdefault(image.study, image)
        for what in ("label", "patient", "split"):
            value = getattr(image, what)
            first_value = getattr(first, what)
            if value != first_value:
                raise ValueError(
                    f"{source}: study {image.study} has two {what}s: {first_value} ({first.image.name}) and {value} "
                    f"({image.image.name}); expected one"
                )


def _refuse_leaks(images: Sequence[LabeledImage], source: str | Path) -> None:
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
            + "; give all images of a patient the same split, or, if they are anonymized DICOM files that were "
            "all given one patient, set dicom_patients to false"
        )


def _refuse_missing_classes(images: Sequence[LabeledImage], names: Sequence[str], source: str | Path) -> None:
    present = {image.label for image in images}
    missing = [name for index, name in enumerate(names) if index not in present]
    if missing:
        raise ValueError(f"{source}: no training image of class {', '.join(missing)}")


def _groups(images: Sequence[LabeledImage]) -> list[str]:
    """What must not be divided: the patient of each image, else its study, else the image itself."""
    groups = []
    for index, image in enumerate(images):
        if image.patient:
            groups.append(f"patient {image.patient}")
        elif image.study:
            groups.append(f"study {image.study}")
        else:
            groups.append(f"image {index}")
    return groups


def _split_fold(
    images: list[LabeledImage], names: Sequence[str], folds: int, fold: int, seed: int
) -> tuple[list[LabeledImage], list[LabeledImage]]:
    labels = [image.label for image in images]
    groups = _groups(images)
    for index, name in enumerate(names):
        count = len({group for group, label in zip(groups, labels) if label == index})
        if count < folds:
            raise ValueError(
                f"class {name} has training images of only {count} patients, too few for {folds} folds; "
                "give a validation split, or a smaller number of folds; if anonymized DICOM files were all given "
                "one patient, set dicom_patients to false"
            )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    training, validation = list(splitter.split(np.zeros(len(images)), labels, groups))[fold]
    return [images[i] for i in training], [images[i] for i in validation]


def _subset(images: list[LabeledImage], fraction: float, seed: int) -> list[LabeledImage]:
    """Whole patients in random order, until each class has its share."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(_groups(images)):
        members[group].append(index)
    counts = Counter(image.label for image in images)
    wanted = {label: max(1, round(fraction * count)) for label, count in counts.items()}
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


def _items(images: Sequence[LabeledImage]) -> list[dict[str, str | int]]:
    items: list[dict[str, str | int]] = []
    for image in images:
        study = str(image.image) if image.study is None else image.study
        items.append({"image": str(image.image), "label": image.label, "study": study})
        if image.patient is not None:
            items[-1]["patient"] = image.patient
    return items
