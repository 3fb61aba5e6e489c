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
from dwskd_monai.commands.suggest.known import LABELED, copies_of
from dwskd_monai.data.groups import groups_of
from dwskd_monai.data.images import existing, list_images
from dwskd_monai.data.items import study_of
from dwskd_monai.data.near_copies import SIDE, NearCopy, near_copies
from dwskd_monai.data.patient_folders import depth_of_patients, folders_below, likely_patients
from dwskd_monai.data.patients import of_header
from dwskd_monai.data.refused import RefusedImages
from dwskd_monai.data.slices import SliceDataset
from dwskd_monai.data.sources import LabeledImage
from dwskd_monai.data.text import listed

# Kinds of images that are left out, besides those that are labeled or held out
TRAINED = "trained on"
VALIDATED = "validated on"
NEAR_COPY = "near copies of known images"
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
    judges: Judges, unlabeled_dir: str, known: Mapping[str, SliceDataset], refused: RefusedImages
) -> Candidates:
    """The studies of ``unlabeled_dir`` that are not known.

    Left out are images that the network was trained or validated on, which are found by their contents; other known
    images; near copies of all these (resized, compressed again, mirrored, turned); and studies with such an image.

    Args:
        judges: the bundle.
        unlabeled_dir: a folder of images or a datalist, whose labels are not read.
        known: images that are labeled or held out, by their kind. Near copies of training images are found if these
            are among them, or in ``unlabeled_dir``.
        refused: the list of images that cannot be used.

    Raises:
        FileNotFoundError: if ``unlabeled_dir`` does not exist, or has no image.
        ValueError: if no image can be used.
    """
    items = list_images(unlabeled_dir, **judges.listing(), refused=refused, setting="unlabeled_dir")
    images = judges.read(items, refused)
    pictures = np.concatenate([dataset.middle_slices(SIDE) for dataset in (images, *known.values())])
    pairs = near_copies(pictures)
    kinds = _known(images, judges, known)
    copies = copies_of({*kinds, *range(len(images.data), len(pictures))}, pairs)
    kinds |= dict.fromkeys(copies, NEAR_COPY)
    kinds |= _others_of_their_studies(images.data, kinds)
    labeled = known[LABELED].data if LABELED in known else []
    patients = _patients(images.data, pairs, existing(unlabeled_dir, "unlabeled_dir"), judges, labeled)
    return Candidates(
        images.only([place for place in range(len(images.data)) if place not in kinds]),
        {study_of(item): name for item, name in zip(images.data, patients, strict=True)},
        {str(images.data[place][CommonKeys.IMAGE]): kinds[place] for place in sorted(kinds)},
    )


def _known(images: SliceDataset, judges: Judges, known: Mapping[str, SliceDataset]) -> dict[int, str]:
    """Places of images whose contents are known."""
    settings = judges.trained.settings
    if not settings.images["training"]:
        _logger.warning("%s does not record which images it was trained on, so they may be suggested", settings.weights)
    kinds = {digest: kind for kind, dataset in known.items() for digest, _ in dataset.contents()}
    kinds |= dict.fromkeys(settings.images["validation"] or (), VALIDATED)
    kinds |= dict.fromkeys(settings.images["training"] or (), TRAINED)
    digests = [digest for digest, _ in images.contents()]
    return {place: kinds[digest] for place, digest in enumerate(digests) if digest in kinds}


def _others_of_their_studies(items: Sequence[Item], known: Mapping[int, str]) -> dict[int, str]:
    studies = {study_of(items[place]) for place in known}
    return {place: OF_STUDY for place, item in enumerate(items) if place not in known and study_of(item) in studies}


def _patients(
    items: Sequence[Item], pairs: Sequence[NearCopy], root: Path, judges: Judges, labeled: Sequence[Item]
) -> list[str]:
    """A name for each image, equal for images of one patient, study or series, and for near copies of them.

    Patients are those of the datalist, of DICOM headers, or of folders as deep as those of labeled images, in this
    order.
    """
    where = judges.patients()
    names = judges.class_names if where["folder_patients"] else None
    of_items = folders_below(root, [Path(item[CommonKeys.IMAGE]) for item in items], names)
    likely = likely_patients(of_items, depth_of_patients(labeled))
    folders: set[str] = set()
    images = []
    for item, folder in zip(items, likely, strict=True):
        image = LabeledImage(Path(item[CommonKeys.IMAGE]), _NO_LABEL, patient=item.get("patient"), study=study_of(item))
        if image.patient is None and where["dicom_patients"]:
            patient, ties = of_header(image.image)
            image = replace(image, patient=patient, ties=ties)
        if image.patient is None and folder is not None:
            folders.add(folder.name)
            image = replace(image, patient=folder.name)
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
