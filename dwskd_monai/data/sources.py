"""Labeled images of a folder, a CSV or a JSON datalist."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dwskd_monai.data.columns import SPLIT_NAMES
from dwskd_monai.data.images import existing
from dwskd_monai.data.labels import label_index
from dwskd_monai.data.refused import shown_counts
from dwskd_monai.data.rows import Row, is_datalist, read_rows
from dwskd_monai.reading.find import find_images
from dwskd_monai.reading.refusal import RefusedImage

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
        ties: what else it shares with images that it must stay together with, as messages name it.
        content: a name that it shares with its copies.
        subgroups: what the source says of its age, sex, site and the like, as pairs of column and value.
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
    subgroups: tuple[tuple[str, str], ...] = ()

    @property
    def part(self) -> str:
        """The part that the source puts the image into: a split, or a fold of the training images if it names folds."""
        split = self.split or "training"
        return split if self.fold is None or split != "training" else f"fold {self.fold}"


@dataclass(frozen=True)
class Source:
    """What a folder or a datalist contains.

    Args:
        images: all that have a label.
        others: files of a folder that are not images, by the split whose folder they are in, if there are such folders.
    """

    images: list[LabeledImage]
    others: dict[str | None, list[RefusedImage]] = field(default_factory=dict)

    def others_of(self, split: str) -> list[RefusedImage]:
        """The files beside the images of a split, also beside training images that are divided into folds.

        Args:
            split: of the images, or ``all``.
        """
        if split == "all":
            wanted = set(self.others)
        elif split == "validation" and split not in self.others:
            wanted = {None, "training"}
        else:
            wanted = {None, split}
        return [other for where, others in self.others.items() if where in wanted for other in others]


def read_dataset(
    dataset_dir: str | Path,
    class_names: Sequence[str],
    dicom_series: bool = True,
    ignored_columns: Collection[str] | str = (),
) -> Source:
    """All labeled images of a folder, CSV or JSON datalist; see :func:`dwskd_monai.data.datalist.load_split`.

    Args:
        dataset_dir: the source.
        class_names: names in the order of the labels.
        dicom_series: whether DICOM files in a folder below that of a class are the slices of one volume.
        ignored_columns: columns of a datalist to ignore.

    Raises:
        FileNotFoundError: if the source or one of its images does not exist, or it has no image.
        ValueError: for an unknown class, a missing or unknown label or split, or a source of another form.
    """
    root = existing(dataset_dir)
    if root.is_dir():
        source = _read_folder(root, class_names, dicom_series)
    elif is_datalist(root):
        source = Source(_read_datalist(root, class_names, ignored_columns))
    else:
        raise ValueError(f"dataset_dir: expected a folder, a .csv or a .json file, got {root}")
    if not source.images:
        raise FileNotFoundError(f"dataset_dir: {root} has no labeled image")
    return source


def _read_folder(root: Path, class_names: Sequence[str], dicom_series: bool) -> Source:
    source = Source([])
    for folder, split in _folders_of_splits(root):
        images, others = _read_classes(folder, class_names, dicom_series, split)
        source.images.extend(images)
        source.others[split] = [*source.others.get(split, []), *others]
    return source


def _folders_of_splits(root: Path) -> Iterator[tuple[Path, str | None]]:
    """The folders that have one folder per class, and their splits."""
    folders = _folders_in(root)
    splits = [folder for folder in folders if folder.name.lower() in SPLIT_NAMES]
    if not splits:
        yield root, None
        return
    further = [folder.name for folder in folders if folder not in splits]
    if further:
        raise ValueError(f"{root}: folders of splits ({splits[0].name}) and others ({', '.join(further)}) side by side")
    for folder in splits:
        yield folder, SPLIT_NAMES[folder.name.lower()]


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _read_classes(
    root: Path, class_names: Sequence[str], dicom_series: bool, split: str | None
) -> tuple[list[LabeledImage], list[RefusedImage]]:
    """The images of a folder with one folder per class, and the files that are not images."""
    folders = _folders_in(root)
    unknown = [folder.name for folder in folders if folder.name not in class_names]
    if unknown:
        raise ValueError(
            f"{root}: class folder {', '.join(unknown)} is not among the classes of the metadata: "
            f"{', '.join(class_names)}; rename it, move it away, or edit channel_def in metadata.json"
        )
    images: list[LabeledImage] = []
    others: list[RefusedImage] = []
    for folder in folders:
        paths, not_images = find_images(folder, dicom_series)
        others += not_images
        for path in paths:
            first, *below = path.relative_to(folder).parts
            inner = first if below else None
            images.append(LabeledImage(path, class_names.index(folder.name), split, folder=inner))
    if others:
        shown = shown_counts(other.reason for other in others)
        _logger.warning("%s: %d files cannot be read as images and were left out: %s", root, len(others), shown)
    return images, others


def _read_datalist(
    path: Path, class_names: Sequence[str], ignored_columns: Collection[str] | str
) -> list[LabeledImage]:
    def labeled(row: Row) -> LabeledImage | None:
        if not row.has_label:
            return None
        label = label_index(row.label, class_names, row.place)
        return LabeledImage(row.image, label, row.split, row.fold, row.patient, row.study, subgroups=row.subgroups)

    images = read_rows(path, ("image", "label"), labeled, ignored_columns)
    unlabeled = images.count(None)
    if unlabeled:
        _logger.info("%s: %d test images have no label and are left out", path, unlabeled)
    return [image for image in images if image is not None]
