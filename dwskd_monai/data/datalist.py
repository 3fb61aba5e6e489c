"""Items for MONAI's datasets, split by patient."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from dwskd_monai.class_order import ClassNames, in_order
from dwskd_monai.data.class_counts import counted, refuse_missing_classes, say_missing_classes
from dwskd_monai.data.groups import (
    NOT_PATIENTS,
    groups_of,
    refuse_divided_studies,
    refuse_leaks,
    with_content,
)
from dwskd_monai.data.images import existing
from dwskd_monai.data.patients import with_patients
from dwskd_monai.data.refused import RefusedImages
from dwskd_monai.data.sources import SPLITS, LabeledImage, Source, read_dataset

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
    folder_patients: bool = True,
    ignored_columns: Collection[str] | str = (),
    refused: RefusedImages | None = None,
    others_of: str | None = None,
    required: bool = True,
) -> list[dict[str, str | int]]:
    """Items ``{"image": path, "label": index, "study": identifier}`` of one split, ``"patient"`` too if it is known,
    and the columns ``age``, ``sex``, ``gender``, ``site``, ``scanner``, ``modality`` and ``view`` of a datalist.

    The source is one of

    - a folder with one folder per class, or with folders ``train``/``val``/``test`` that have these;
    - a CSV with columns ``image`` and ``label``, and optionally ``patient``, ``study``, ``split`` and ``fold``;
    - a JSON datalist like those of the Medical Segmentation Decathlon:
      ``{"training": [{"image": …, "label": …}, …], …}``, each item with an optional ``patient``, ``study`` and
      ``fold``.

    An image is a file or the folder of a DICOM series; paths in files are relative to the file. If the source names no
    validation images, the images whose fold is ``fold`` are used for validation; if it names no folds either, ``fold``
    is one of ``folds`` stratified folds of the training images. Images of one patient, of one study or with the same
    content stay together. If the source names no patient, DICOM images have that of their header; without one, images
    of a study or series stay together. Otherwise a folder below that of a class is a patient.

    Args:
        dataset_dir: the source.
        class_names: names in the order of the labels, or metadata's ``channel_def``.
        split: ``training``, ``validation``, ``test``, or ``all`` for every image.
        folds: number of folds, 2 or more.
        fold: the fold used for validation, from 0; only used if the source names no validation images.
        seed: of the folds and of the subset.
        train_fraction: share of the training images to use, in (0, 1], stratified; at least one of each class.
        dicom_series: whether DICOM files in a folder below that of a class are the slices of one volume.
        dicom_patients: whether to take patients from DICOM headers; False for files that were all given the same one.
        folder_patients: whether folders below those of the classes are patients.
        ignored_columns: columns of a CSV, or keys of a JSON datalist's items, to ignore. Other unknown ones are
            refused; see :mod:`~dwskd_monai.data.columns`.
        refused: lists the files of a folder that are not images. A run has one such list: a source that is loaded again
            with it, for another split, is not read again, and each message about it appears once.
        others_of: the split for which such files are listed; None: ``split``.
        required: False: no item, and no error, if ``split`` is ``test`` and there are no test images, or no source at
            all, as where MONAI Label names the images of a training.

    Raises:
        FileNotFoundError: if the source, or an image of it, does not exist.
        ValueError: for an unknown class or column, a missing or unknown label, a class without a training image,
            a patient, a study or the same content in two splits, a study or the same content with two labels, a split
            that the source does not have, or an argument out of range.
    """
    if split not in (*SPLITS, "all"):
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, all; got {split!r}")
    if folds < 2 or fold < 0:
        raise _wrong_fold(folds, fold)
    if not 0 < train_fraction <= 1:
        raise ValueError(f"train_fraction must be in (0, 1], got {train_fraction}")
    if not required and not Path(dataset_dir).expanduser().exists():
        return []
    names = in_order(class_names)
    loading = _loading(dataset_dir, class_names, dicom_series, dicom_patients, folder_patients, ignored_columns)
    if fold >= folds and not _names_folds(loading):
        raise _wrong_fold(folds, fold)
    existing(dataset_dir)
    source = _read(loading) if refused is None else _read_once(loading, refused)
    if refused is not None:
        refused.list_others(source.others_of(others_of or split))
    if split == "all":
        return _items(source.images)
    parts = in_splits(source.images)
    if split == "test":
        if not parts["test"] and not required:
            return []
        if not parts["test"]:
            raise ValueError(f"{dataset_dir} has no test split; use another split, or all for each of its images")
        say_missing_classes(parts["test"], names, split, dataset_dir)
        return _items(parts["test"])
    divide(parts, names, folds, fold, seed, dataset_dir)
    if train_fraction < 1:
        parts["training"] = _subset(parts["training"], train_fraction, seed)
    chosen = parts[split]
    _logger.info("%s: %d %s images (%s)", dataset_dir, len(chosen), split, counted(chosen, names))
    if split == "validation":
        say_missing_classes(chosen, names, split, dataset_dir)
    return _items(chosen)


def in_splits(images: Sequence[LabeledImage]) -> dict[str, list[LabeledImage]]:
    """The images of ``training``, ``validation`` and ``test``; without a split they are training images."""
    parts: dict[str, list[LabeledImage]] = {name: [] for name in SPLITS}
    for image in images:
        parts[image.split or "training"].append(image)
    return parts


class _Loading(NamedTuple):
    """A source, and how it is read; fields as the arguments of :func:`load_split`."""

    source: Path
    names: tuple[str, ...]
    dicom_series: bool
    dicom_patients: bool
    folder_patients: bool
    ignored_columns: tuple[str, ...] | str


def _loading(
    dataset_dir: str | Path,
    class_names: ClassNames,
    dicom_series: bool,
    dicom_patients: bool,
    folder_patients: bool,
    ignored_columns: Collection[str] | str,
) -> _Loading:
    source = Path(dataset_dir).expanduser()
    ignored = ignored_columns if isinstance(ignored_columns, str) else tuple(ignored_columns)
    return _Loading(source, tuple(in_order(class_names)), dicom_series, dicom_patients, folder_patients, ignored)


# What a run, which has one list of refused images, has read
_read_in_run: WeakKeyDictionary[RefusedImages, dict[_Loading, Source]] = WeakKeyDictionary()


def _read_once(loading: _Loading, refused: RefusedImages) -> Source:
    known = _read_in_run.setdefault(refused, {})
    if loading not in known:
        known[loading] = _read(loading)
    return known[loading]


def _read(loading: _Loading) -> Source:
    """All images, with their patients, none of which is in two splits."""
    source = loading.source
    read = read_dataset(source, loading.names, loading.dicom_series, loading.ignored_columns)
    refuse_divided_studies(read.images, source)
    images = with_patients(read.images, loading.dicom_patients, loading.folder_patients, source)
    refuse_leaks(images, source)
    _say_folds(images, source)
    return Source(with_content(images, loading.names, source), read.others)


def _say_folds(images: Sequence[LabeledImage], source: Path) -> None:
    training = [image for image in images if image.split in (None, "training")]
    named = _folds_of(training)
    if not named:
        return
    _logger.info("%s: names %d folds, so the setting folds is not used", source, len(named))
    without = sum(image.fold is None for image in training)
    if without:
        _logger.warning("%s: %d images have no fold, and are training images in each", source, without)


def _folds_of(images: Sequence[LabeledImage]) -> list[int]:
    return sorted({image.fold for image in images if image.fold is not None})


def named_folds(
    dataset_dir: str | Path,
    class_names: ClassNames,
    dicom_series: bool = True,
    dicom_patients: bool = True,
    folder_patients: bool = True,
    ignored_columns: Collection[str] | str = (),
) -> dict[int | None, int]:
    """How many training images are in each fold that a source names; under None, how many are in no fold.

    Args:
        dataset_dir, class_names, dicom_series, dicom_patients, folder_patients, ignored_columns: as of
            :func:`load_split`.

    Raises:
        FileNotFoundError, ValueError: as of :func:`load_split`.
    """
    existing(dataset_dir)
    reading = _loading(dataset_dir, class_names, dicom_series, dicom_patients, folder_patients, ignored_columns)
    return dict(Counter(image.fold for image in in_splits(_read(reading).images)["training"]))


def _names_folds(loading: _Loading) -> bool:
    """Whether a source has folds of its own, of any number."""
    try:
        images = _read(loading).images
    except (OSError, ValueError):  # it has none that could be used
        return False
    return bool(_folds_of(in_splits(images)["training"]))


def _wrong_fold(folds: int, fold: int) -> ValueError:
    return ValueError(f"expected folds >= 2 and 0 <= fold < folds, got folds={folds}, fold={fold}")


def _split_named_fold(
    images: Sequence[LabeledImage], fold: int, source: str | Path
) -> tuple[list[LabeledImage], list[LabeledImage]]:
    """The folds that the source names, as in MONAI's Auto3DSeg: an image without one is trained on in each."""
    named = _folds_of(images)
    if fold not in named:
        raise ValueError(f"fold {fold}: {source} names the folds {', '.join(map(str, named))}; choose one of these")
    return [image for image in images if image.fold != fold], [image for image in images if image.fold == fold]


def divide(
    parts: dict[str, list[LabeledImage]],
    names: Sequence[str],
    folds: int,
    fold: int,
    seed: int,
    source: str | Path,
) -> None:
    """Take the validation images from the training images, unless the source names them.

    Args:
        parts: of :func:`in_splits`; they are changed.
        names: of the classes.
        folds, fold, seed: as of :func:`load_split`.
        source: for messages.

    Raises:
        ValueError: if a class has no training image, or too few for the folds; or if the source has no fold ``fold``.
    """
    refuse_missing_classes(parts["training"], names, source)
    has_folds = any(image.fold is not None for image in parts["training"])
    if parts["validation"]:
        if has_folds:
            raise ValueError(f"{source} names both validation images and folds of the training images; expected one")
        if fold:
            raise ValueError(f"fold {fold}: {source} names its validation images and has no folds; leave fold out")
        return
    if has_folds:
        parts["training"], parts["validation"] = _split_named_fold(parts["training"], fold, source)
    else:
        parts["training"], parts["validation"] = _split_fold(parts["training"], names, folds, fold, seed)
    refuse_missing_classes(parts["training"], names, f"{source}, without validation fold {fold} of {folds}")


def _split_fold(
    images: list[LabeledImage], names: Sequence[str], folds: int, fold: int, seed: int
) -> tuple[list[LabeledImage], list[LabeledImage]]:
    labels = [image.label for image in images]
    groups = groups_of(images)
    for index, name in enumerate(names):
        count = len({group for group, label in zip(groups, labels) if label == index})
        if count < folds:
            raise ValueError(
                f"class {name} has training images of only {count} patients, too few for {folds} folds; "
                f"give a validation split, or a smaller number of folds; {NOT_PATIENTS}"
            )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    _, validation = list(splitter.split(np.zeros(len(images)), labels, groups))[fold]
    validates = np.isin(np.arange(len(images)), validation).tolist()
    # A copy goes where the first image with its content goes: the folds are the same with and without it
    of_group: dict[str, bool] = {}
    for index, group in enumerate(groups_of(images, with_copies=True)):
        validates[index] = of_group.setdefault(group, validates[index])
    return (
        [image for image, chosen in zip(images, validates) if not chosen],
        [image for image, chosen in zip(images, validates) if chosen],
    )


def _subset(images: list[LabeledImage], fraction: float, seed: int) -> list[LabeledImage]:
    """Whole patients in random order, until each class has its share."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups_of(images)):
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
        items[-1].update(image.subgroups)
    return items
