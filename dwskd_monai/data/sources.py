"""Labeled images of a folder, a CSV or a JSON datalist."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dwskd_monai.data.columns import SPLIT_NAMES
from dwskd_monai.data.images import existing
from dwskd_monai.data.labels import label_index
from dwskd_monai.data.refused import RefusedImages, shown_counts
from dwskd_monai.data.rows import Row, is_datalist, read_rows
from dwskd_monai.reading.find import find_images

SPLITS = ("training", "validation", "test")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabeledImage:
    """One labeled image: a picture, or a volume with many slices.

    Args:
        image: its file, or the folder of its DICOM series.
        label: index of its class.
        split: ``training``, ``validation`` or ``test``, if the source says so.
        fold: the fold in which it is a validation image, if the source says so.
        patient: identifier of the patient, if it is known.
        study: identifier of the examination, if the source names it; an image is a study of its own otherwise.
        folder: the folder below that of its class in which it lies, if there is one.
        ties: what else it shares with images that it must stay together with, as messages call it.
        content: what it shares with its copies.
    """

    image: Path
    label: int
    split: str | None = None
    fold: int | None = None
    patient: str | None = None
    study: str | None = None
    folder: str | None = None
    ties: tuple[str, ...] = ()
    content: str | None = None

    @property
    def part(self) -> str:
        """The part that the source puts the image into: a split, or a fold of the training images if it names folds."""
        split = self.split or "training"
        return split if self.fold is None or split != "training" else f"fold {self.fold}"


def read_dataset(
    dataset_dir: str | Path,
    class_names: Sequence[str],
    dicom_series: bool = True,
    ignored_columns: Collection[str] | str = (),
    refused: RefusedImages | None = None,
) -> list[LabeledImage]:
    """All labeled images of a folder, CSV or JSON datalist; see :func:`dwskd_monai.data.datalist.load_split`.

    Args:
        dataset_dir: the source.
        class_names: names in the order of the labels.
        dicom_series: whether DICOM files in a folder below that of a class are the slices of one volume.
        ignored_columns: columns of a datalist to ignore.
        refused: lists the files of a folder that are not images.

    Raises:
        FileNotFoundError: if the source or one of its images does not exist, or it has no image.
        ValueError: for an unknown class, a missing or unknown label or split, or a source of another form.
    """
    root = existing(dataset_dir)
    if root.is_dir():
        images = list(_read_folder(root, class_names, dicom_series, refused))
    elif is_datalist(root):
        images = _read_datalist(root, class_names, ignored_columns)
    else:
        raise ValueError(f"dataset_dir: expected a folder, a .csv or a .json file, got {root}")
    if not images:
        raise FileNotFoundError(f"dataset_dir: {root} has no labeled image")
    return images


def _read_folder(
    root: Path, class_names: Sequence[str], dicom_series: bool, refused: RefusedImages | None
) -> Iterable[LabeledImage]:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    splits = [folder for folder in folders if folder.name.lower() in SPLIT_NAMES]
    if not splits:
        yield from _read_classes(root, folders, class_names, dicom_series, None, refused)
        return
    further = [folder.name for folder in folders if folder not in splits]
    if further:
        raise ValueError(f"{root}: folders of splits ({splits[0].name}) and others ({', '.join(further)}) side by side")
    for split in splits:
        inner = sorted(path for path in split.iterdir() if path.is_dir() and not path.name.startswith("."))
        yield from _read_classes(split, inner, class_names, dicom_series, SPLIT_NAMES[split.name.lower()], refused)


def _read_classes(
    root: Path,
    folders: Sequence[Path],
    class_names: Sequence[str],
    dicom_series: bool,
    split: str | None,
    refused: RefusedImages | None,
) -> Iterable[LabeledImage]:
    unknown = [folder.name for folder in folders if folder.name not in class_names]
    if unknown:
        raise ValueError(
            f"{root}: class folder {', '.join(unknown)} is not among the classes of the metadata: "
            f"{', '.join(class_names)}; rename it, move it away, or edit channel_def in metadata.json"
        )
    others = []
    for folder in folders:
        images, not_images = find_images(folder, dicom_series)
        others += not_images
        for path in images:
            first, *below = path.relative_to(folder).parts
            inner = first if below else None
            yield LabeledImage(path, class_names.index(folder.name), split, folder=inner)
    if refused is not None:
        refused.list_others(others)
    if others:
        shown = shown_counts(other.reason for other in others)
        _logger.warning("%s: %d files cannot be read as images and were left out: %s", root, len(others), shown)


def _read_datalist(
    path: Path, class_names: Sequence[str], ignored_columns: Collection[str] | str
) -> list[LabeledImage]:
    def labeled(row: Row) -> LabeledImage | None:
        if not row.has_label:
            return None
        label = label_index(row.label, class_names, row.place)
        return LabeledImage(row.image, label, row.split, row.fold, row.patient, row.study)

    images = read_rows(path, ("image", "label"), labeled, ignored_columns)
    unlabeled = images.count(None)
    if unlabeled:
        _logger.info("%s: %d test images have no label and are left out", path, unlabeled)
    return [image for image in images if image is not None]
