"""The studies without labels of which some may be suggested: none that is known, each with its patient."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from monai.utils.enums import CommonKeys

from dwskd_monai.commands.suggest.judges import Judges
from dwskd_monai.data.groups import groups_of
from dwskd_monai.data.images import existing, list_images
from dwskd_monai.data.items import study_of
from dwskd_monai.data.near_copies import SIDE, NearCopy, near_copies
from dwskd_monai.data.patient_folders import folders_of
from dwskd_monai.data.patients import of_header
from dwskd_monai.data.refused import RefusedImages
from dwskd_monai.data.slices import SliceDataset
from dwskd_monai.data.sources import LabeledImage
from dwskd_monai.data.text import listed

# Kinds of images that are left out
TRAINED = "trained on"
VALIDATED = "validated on"
LABELED = "labeled"
NEAR_COPY = "near copies of labeled images"
OF_STUDY = "of studies with such images"
_NO_LABEL = -1
_logger = logging.getLogger(__name__)
Item = Mapping[str, Any]


@dataclass(frozen=True)
class Candidates:
    """Studies that may be suggested.

    Args:
        dataset: their slices.
        patients: for each study a name, equal for those of one patient and for near copies.
        left_out: images that are known, and their kinds.
    """

    dataset: SliceDataset
    patients: Mapping[str, str]
    left_out: Mapping[str, str]


def find_candidates(
    judges: Judges, unlabeled_dir: str, labeled: SliceDataset | None, refused: RefusedImages
) -> Candidates:
    """The studies of ``unlabeled_dir`` that are not known.

    Left out are images that the network was trained or validated on, which are found by their contents; other labeled
    images; near copies of all these (resized, compressed again, mirrored, turned); and studies with such an image.

    Args:
        judges: the bundle.
        unlabeled_dir: a folder of images or a datalist, whose labels are not read.
        labeled: the labeled images; None: only those among the images without labels are found, by their contents.
        refused: the list of images that cannot be used.

    Raises:
        FileNotFoundError: if ``unlabeled_dir`` does not exist, or has no image.
        ValueError: if no image can be used.
    """
    items = list_images(unlabeled_dir, **judges.listing(), refused=refused, setting="unlabeled_dir")
    images = judges.read(items, refused)
    pictures = [dataset.middle_slices(SIDE) for dataset in (images, labeled) if dataset is not None]
    pairs = near_copies(np.concatenate(pictures))
    kinds = _known(images, judges, labeled)
    kinds |= _near_copies(pairs, kinds, len(images.data))
    kinds |= _others_of_their_studies(images.data, kinds)
    patients = _patients(images.data, pairs, existing(unlabeled_dir, "unlabeled_dir"), judges)
    return Candidates(
        images.only([place for place in range(len(images.data)) if place not in kinds]),
        {study_of(item): name for item, name in zip(images.data, patients, strict=True)},
        {str(images.data[place][CommonKeys.IMAGE]): kinds[place] for place in sorted(kinds)},
    )


def _known(images: SliceDataset, judges: Judges, labeled: SliceDataset | None) -> dict[int, str]:
    """Places of images whose contents are known."""
    settings = judges.trained.settings
    if not settings.images["training"]:
        _logger.warning("%s does not record which images it was trained on, so they may be suggested", settings.weights)
    kinds = {} if labeled is None else dict.fromkeys((digest for digest, _ in labeled.contents()), LABELED)
    kinds |= dict.fromkeys(settings.images["validation"] or (), VALIDATED)
    kinds |= dict.fromkeys(settings.images["training"] or (), TRAINED)
    digests = [digest for digest, _ in images.contents()]
    return {place: kinds[digest] for place, digest in enumerate(digests) if digest in kinds}


def _near_copies(pairs: Sequence[NearCopy], known: Mapping[int, str], count: int) -> dict[int, str]:
    """Places of images that show the same as one that is known.

    Args:
        pairs: of images and, from the place ``count`` on, labeled ones.
        known: places of images.
        count: how many images there are.
    """
    found = {}
    for pair in pairs:
        for place, other in ((pair.first, pair.second), (pair.second, pair.first)):
            if place < count and place not in known and (other >= count or other in known):
                found[place] = NEAR_COPY
    return found


def _others_of_their_studies(items: Sequence[Item], known: Mapping[int, str]) -> dict[int, str]:
    studies = {study_of(items[place]) for place in known}
    return {place: OF_STUDY for place, item in enumerate(items) if place not in known and study_of(item) in studies}


def _patients(items: Sequence[Item], pairs: Sequence[NearCopy], root: Path, judges: Judges) -> list[str]:
    """A name for each image, equal for images of one patient, study or series, and for near copies of them.

    Patients are those of the datalist, of DICOM headers, or of folders, in this order, as for labeled images.
    """
    where = judges.patients()
    folders: set[str] = set()
    images = []
    for item in items:
        image = LabeledImage(Path(item[CommonKeys.IMAGE]), _NO_LABEL, patient=item.get("patient"), study=study_of(item))
        if image.patient is None and where["dicom_patients"]:
            patient, ties = of_header(image.image)
            image = replace(image, patient=patient, ties=ties)
        of_folders = folders_of(image.image, root, judges.class_names)
        if image.patient is None and where["folder_patients"] and of_folders:
            folders.add(of_folders[0].name)
            image = replace(image, patient=of_folders[0].name)
        images.append(image)
    if folders:
        _logger.info(
            "%s: %d folders are taken as patients (%s), and one study of each may be suggested; set folder_patients: "
            "false if they are not", root, len(folders), listed(sorted(folders)),
        )  # fmt: skip
    for number, pair in enumerate(pairs):
        for place in (pair.first, pair.second):
            if place < len(images):
                images[place] = replace(images[place], ties=(*images[place].ties, f"pair {number}"))
    return groups_of(images)
