"""The images that a training and its evaluation would use, with everything that is wrong with how they are listed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.errors import parsed_content
from dwskd_monai.commands.check.findings import Findings
from dwskd_monai.data.class_counts import say_missing_classes
from dwskd_monai.data.datalist import divide, in_splits
from dwskd_monai.data.groups import path_in, refuse_divided_studies, refuse_leaks, with_content
from dwskd_monai.data.images import existing, list_images
from dwskd_monai.data.patients import of_header, with_patients
from dwskd_monai.data.refused import RefusedImages
from dwskd_monai.data.sources import LabeledImage, read_dataset

_DATALIST = "train#dataset#data"
_KIND = "datalist"
UNLABELED = "unlabeled"


@dataclass(frozen=True)
class ListedImage:
    """An image and its place in the data.

    Args:
        path: of its file, or of the folder of a series.
        name: how it is shown: its path in the folder of the data.
        part: ``training``, ``validation``, ``test`` or ``unlabeled``.
        patient: if it is known.
        labeled: what the datalist says about it; None for an unlabeled image.
    """

    path: str
    name: str
    part: str
    patient: str | None = None
    labeled: LabeledImage | None = None

    @property
    def label(self) -> int | None:
        """Index of its class."""
        return None if self.labeled is None else self.labeled.label


def list_labeled(
    bundle: Bundle, dataset_dir: str | None, refused: RefusedImages, findings: Findings
) -> list[ListedImage]:
    """The labeled images, each in the split that the bundle's training gives it.

    A training stops at the first thing that is wrong; here each one becomes a finding, and the search goes on.

    Args:
        bundle: its ``train.yaml`` says how images are listed.
        dataset_dir: the source; None: that of the bundle.
        refused: lists the files that are not images.
        findings: what is wrong is added.
    """
    parser = bundle.config("train")
    options: dict[str, Any] = {
        name: parsed_content(parser, f"{_DATALIST}#{name}")
        for name in ("dicom_series", "dicom_patients", "folder_patients", "ignored_columns", "folds", "fold", "seed")
    }
    given = parsed_content(parser, "dataset_dir") if dataset_dir is None else dataset_dir
    names = bundle.class_names
    images: list[LabeledImage] = []
    with findings.collecting(_KIND, logging.ERROR):  # files that are left out are listed
        source = existing(given)
        read = read_dataset(source, names, options["dicom_series"], options["ignored_columns"])
        refused.list_others(read.others_of("all"))
        images = read.images
    if not images:
        return []
    with findings.collecting(_KIND):
        refuse_divided_studies(images, source)
    with findings.collecting(_KIND):
        images = with_patients(images, options["dicom_patients"], options["folder_patients"], source)
    with findings.collecting(_KIND):
        refuse_leaks(images, source)
    with findings.collecting(_KIND):
        images = with_content(images, names, source)
    parts = in_splits(images)
    with findings.collecting(_KIND):
        divide(parts, names, options["folds"], options["fold"], options["seed"], source)
    for part in ("validation", "test"):
        if parts[part]:
            with findings.collecting(_KIND):
                say_missing_classes(parts[part], names, part, source)
    listed = [(part, image) for part in parts for image in parts[part]]
    return [
        ListedImage(str(image.image), path_in(source, image.image), part, image.patient, image)
        for part, image in listed
    ]


def list_unlabeled(bundle: Bundle, unlabeled_dir: str, refused: RefusedImages, findings: Findings) -> list[ListedImage]:
    """Images without labels; arguments as of :func:`list_labeled`."""
    parser = bundle.config("train")
    dicom_series = bool(parsed_content(parser, "dicom_series"))
    items: Sequence[dict[str, str]] = []
    with findings.collecting(_KIND):
        items = list_images(unlabeled_dir, dicom_series, parsed_content(parser, "ignored_columns"), refused)
    listed = []
    for item in items:
        path = Path(item["image"])
        name = path_in(Path(unlabeled_dir), path)
        listed.append(ListedImage(str(path), name, UNLABELED, item.get("patient") or of_header(path)[0]))
    return listed
