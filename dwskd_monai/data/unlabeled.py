"""Images without labels that a training may learn from: none that validates or tests it, and none of their patients."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
from monai.transforms import Compose
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray

from dwskd_monai.class_order import ClassNames, in_order
from dwskd_monai.data.datalist import load_split
from dwskd_monai.data.evaluation_split import digests_of
from dwskd_monai.data.images import existing, list_images, list_unlabeled_tests
from dwskd_monai.data.items import study_of
from dwskd_monai.data.near_copies import SIDE, near_copies
from dwskd_monai.data.patient_folders import (
    at_depth,
    crowded,
    depth_of_patients,
    folders_below,
    folders_of_series,
    held_out_patients,
)
from dwskd_monai.data.patients import identities
from dwskd_monai.data.refused import RefusedImages, shown_kinds
from dwskd_monai.data.slices import SliceDataset
from dwskd_monai.files import read_json
from dwskd_monai.reading import RefusedImage
from dwskd_monai.reading.refusal import HELD_OUT

_MOST_SHOWN = 3
_REFUSED = ("refused_test.csv", "refused_held_out.csv")
_logger = logging.getLogger(__name__)
Item = Mapping[str, Any]


def open_unlabeled(
    unlabeled_dir: str | Path | None,
    training: SliceDataset,
    validation: SliceDataset,
    transform: Compose,
    dataset_dir: str | Path,
    class_names: ClassNames,
    refused: RefusedImages,
    labeled_refused: RefusedImages | None = None,
    held_out_dir: str | Path | None = None,
    dicom_series: bool = True,
    dicom_patients: bool = True,
    folder_patients: bool = True,
    ignored_columns: Collection[str] | str = (),
    cache_dir: str | Path | None = None,
    slices_per_study: int | None = None,
    num_workers: int = 0,
    required: bool = True,
    only: str | Path | None = None,
) -> SliceDataset | None:
    """The images of ``unlabeled_dir`` that a training may learn from; None if there is no such folder.

    Images of the training may be among them; they are used with their labels. Left out are images that cannot be read,
    or are of another kind, as at inference; and, because they would make validation and test look better than they are,
    images of validation and test, near copies of them (resized, compressed again, mirrored, turned), and other images
    of their patients, who are known from datalists, from DICOM headers and from folders. The log counts them, and
    ``refused`` lists them with the reason.

    Args:
        unlabeled_dir: a folder of images, or a datalist, whose labels are not read.
        training, validation: the labeled images.
        transform: as of the training's dataset.
        dataset_dir, class_names: where the test images are listed, as for
            :func:`~dwskd_monai.data.datalist.load_split`.
        refused: the list of images that are left out; it never stops the run.
        labeled_refused: the list of the labeled images, so that ``dataset_dir`` is read once.
        held_out_dir: further images that must not be learned from, such as test images in a place of their own: a
            folder or a datalist, whose labels are not read.
        dicom_series: whether DICOM files in one folder are the slices of one volume.
        dicom_patients: whether to take patients from DICOM headers.
        folder_patients: whether folders may be patients. Images in a folder that is named like a held-out patient are
            left out; and if labeled images are in folders of patients, so are all other images in a folder of that
            depth that has one that is left out, unless it has more than half of all images.
        ignored_columns: columns of a datalist to ignore.
        cache_dir, slices_per_study, num_workers: as of :class:`~dwskd_monai.data.slices.SliceDataset`.
        required: whether there must be an image besides those of the training that may be learned from; if not, and
            there is none, the result is None too.
        only: a JSON file whose ``images`` are digests of contents; other images are as if they were not there. None:
            all images are taken.

    Raises:
        FileNotFoundError: if ``unlabeled_dir`` does not exist, or there is no image.
        ValueError: if no image can be used, or none besides those of the training and ``required``.
    """
    if unlabeled_dir is None:
        return None
    refused.begin()
    listing: dict[str, Any] = {"dicom_series": dicom_series, "ignored_columns": ignored_columns, "refused": refused}
    items = list_images(unlabeled_dir, setting="unlabeled_dir", **listing)
    if only is not None:
        items = _with_digests(items, set(read_json(Path(only))["images"]), cache_dir, unlabeled_dir)
    reading: dict[str, Any] = {"transform": transform, "cache_dir": cache_dir, "num_workers": num_workers}
    images = SliceDataset(items, slices_per_study=slices_per_study, refused=refused, **reading)
    test_items: list[dict[str, Any]] = load_split(
        dataset_dir, class_names, "test", dicom_series=dicom_series, dicom_patients=dicom_patients,
        folder_patients=folder_patients, ignored_columns=ignored_columns, refused=labeled_refused, required=False,
    )  # fmt: skip
    test_items += list_unlabeled_tests(dataset_dir, ignored_columns)
    refused_test, refused_further = (RefusedImages(refused.path.with_name(name)) for name in _REFUSED)
    further = []
    if held_out_dir is not None:
        further = list_images(held_out_dir, setting="held_out_dir", **listing | {"refused": refused_further})
    held_out = {"validation": validation}
    for name, listed, of_them in (("test", test_items, refused_test), ("held-out", further, refused_further)):
        if listed:
            held_out |= _opened(name, listed, of_them, reading)
    if labeled_refused is not None:
        labeled_refused.keep()
    digests = [digest for digest, _ in images.contents()]
    pictures = images.middle_slices(SIDE)
    names = in_order(class_names) if folder_patients else None
    depth = depth_of_patients([*training.data, *validation.data, *test_items])
    folders = folders_below(existing(unlabeled_dir, "unlabeled_dir"), _files(images), names)
    many = crowded(folders)
    ties = [
        _ties(item, dicom_patients) | {f"folder {folder}" for folder in at_depth(of_image, depth) if folder not in many}
        for item, of_image in zip(images.data, folders, strict=True)
    ]
    series = folders_of_series(_files(images), names)
    with_names = [
        own | _patients([*of_image, *part]) for own, of_image, part in zip(ties, folders, series, strict=True)
    ]
    known = _with_contents_of(training, digests)
    reasons: dict[int, str] = {}
    for split, held in held_out.items():
        held_ties = [_ties(item, dicom_patients) for item in held.data]
        if split == "held-out" and held_out_dir is not None:
            files = _files(held)
            held_folders = held_out_patients(
                folders_below(existing(held_out_dir), files, names), folders_of_series(files, names), depth, many
            )
            held_ties = [own | _patients(of_image) for own, of_image in zip(held_ties, held_folders, strict=True)]
        reasons |= _of_same_patients(with_names, held, held_ties, split)
        reasons |= _near_copies(pictures, held, split)
        reasons |= dict.fromkeys(_with_contents_of(held, digests), f"a copy of a {split} image")
    reasons = _with_companions(images, ties, reasons)
    for place, reason in sorted(reasons.items()):
        item = images.data[place]
        refused.add(RefusedImage(item[CommonKeys.IMAGE], f"{reason}; it is left out", HELD_OUT), item, place)
    kept = [place for place in range(len(images.data)) if place not in known | reasons.keys()]
    _report(unlabeled_dir, len(kept), len(known - reasons.keys()), refused, required)
    return images.only(kept) if kept else None


def _with_digests(
    items: Sequence[dict[str, str]], digests: Collection[str], cache_dir: str | Path | None, source: str | Path
) -> list[dict[str, str]]:
    """The items whose content has one of the digests; raises ValueError if there is none."""
    kept = [item for item, own in zip(items, digests_of(items, cache_dir), strict=True) if own in digests]
    if not kept:
        raise ValueError(f"unlabeled_dir: {source} has none of the {len(digests)} images that may be learned from")
    return kept


def _opened(
    name: str, items: Sequence[Item], refused: RefusedImages, reading: Mapping[str, Any]
) -> dict[str, SliceDataset]:
    """The dataset of held-out images, by its name; images that cannot be read are said."""
    dataset: SliceDataset | None = None
    with suppress(ValueError):  # none can be read
        dataset = SliceDataset(items, refused=refused, **reading)
    count = refused.count()
    refused.keep()
    if count and idist.get_rank() == 0:
        _logger.warning(
            "%d %s images cannot be read, so copies of them are not found among the images without labels; %s says why",
            count, name, refused.path,
        )  # fmt: skip
    return {} if dataset is None else {name: dataset}


def _with_contents_of(others: SliceDataset, digests: Sequence[str]) -> set[int]:
    """Places of the digests that are of a content of other images."""
    contents = {digest for digest, _ in others.contents()}
    return {place for place, digest in enumerate(digests) if digest in contents}


def _near_copies(pictures: NDArray[np.float32], held: SliceDataset, split: str) -> dict[int, str]:
    """Places of pictures that show a held-out image, and how to say it."""
    count = len(pictures)
    both = np.concatenate([pictures, held.middle_slices(SIDE)])
    pairs = [pair for pair in near_copies(both) if pair.first < count <= pair.second]
    return {
        pair.first: f"shows the same as the {split} image {_name(held.data[pair.second - count])}"
        for pair in reversed(pairs)  # the most similar ones come first, and stay
    }


def _of_same_patients(
    ties: Sequence[set[str]], held: SliceDataset, held_ties: Sequence[set[str]], split: str
) -> dict[int, str]:
    """Places of images that belong to a held-out one, and how to say it.

    Args:
        ties: of the images.
        held: held-out images.
        held_ties: of these.
        split: of these.
    """
    names: dict[str, str] = {}
    for item, of_item in zip(held.data, held_ties, strict=True):
        names |= dict.fromkeys(of_item, _name(item))
    shared = {place: sorted(own & names.keys()) for place, own in enumerate(ties)}
    return {
        place: f"of the same patient, study or series as the {split} image {names[found[0]]}"
        for place, found in shared.items()
        if found
    }


def _with_companions(images: SliceDataset, ties: Sequence[set[str]], reasons: Mapping[int, str]) -> dict[int, str]:
    """Also all other images of the patients, studies and series of images that are left out."""
    left_out = dict(reasons)
    names: dict[str, str] = {}
    new = list(left_out)
    while new:
        for place in new:
            names |= {tie: _name(images.data[place]) for tie in ties[place] - names.keys()}
        found = {place: sorted(ties[place] & names.keys()) for place in range(len(ties)) if place not in left_out}
        new = [place for place, shared in found.items() if shared]
        for place in new:
            left_out[place] = f"of the same patient, study or series as {names[found[place][0]]}, which is left out"
    return left_out


def _files(images: SliceDataset) -> list[Path]:
    return [Path(item[CommonKeys.IMAGE]) for item in images.data]


def _patients(folders: Sequence[Path]) -> set[str]:
    """Ties to the patients that folders may be named after."""
    return {f"patient {folder.name}" for folder in folders}


def _ties(item: Item, dicom_patients: bool) -> set[str]:
    """What an image has in common with all that must be in its split: its patient, its study, its series.

    A datalist may name patients by pseudonyms, and a header by a number: both count.
    """
    ties = {f"study {study_of(item)}"}
    if "patient" in item:
        ties.add(f"patient {item['patient']}")
    if dicom_patients:
        ties |= identities(Path(item[CommonKeys.IMAGE]))
    return ties


def _report(unlabeled_dir: str | Path, count: int, known: int, refused: RefusedImages, required: bool) -> None:
    """Say how many images there are besides the ``known`` ones of the training, and which were left out.

    Raises:
        ValueError: if there is no image, and one is required.
    """
    rows = refused.rows_of_images()
    refused.keep()
    names = ", ".join(Path(row["path"]).name for row in rows[:_MOST_SHOWN]) + (", …" if len(rows) > _MOST_SHOWN else "")
    besides = [f"{known} that are training images"] if known else []
    besides += [f"{len(rows)} left out ({shown_kinds(rows)}): {names}; {refused.path} says why"] if rows else []
    if not count and required:
        raise ValueError(
            f"unlabeled_dir: {unlabeled_dir} has no further image to learn from; {', '.join(besides)}{_hint(rows)}"
        )
    if idist.get_rank() == 0:
        _logger.info("%s: %s", unlabeled_dir, ", ".join([f"{count} images without labels", *besides]))


def _hint(rows: Sequence[Mapping[str, str]]) -> str:
    """What to do if images may be left out because folders were taken for patients."""
    if not any("of the same patient" in row["reason"] for row in rows):
        return ""
    return (
        ". A folder in it is taken for a patient if it is named like a held-out one, or is as deep as those of "
        "patients among the labeled images; name and arrange folders otherwise if they are not"
    )


def _name(item: Item) -> str:
    return Path(str(item[CommonKeys.IMAGE])).name
