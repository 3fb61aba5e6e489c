"""Images that must stay together: of one patient, of one study, of one DICOM series, or with the same content."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dwskd_monai.data.copies import copies
from dwskd_monai.data.sources import LabeledImage
from dwskd_monai.data.text import listed

NOT_PATIENTS = (
    "if anonymized DICOM files were all given one patient, set dicom_patients to false; if folders below that of a "
    "class are not patients, set folder_patients to false"
)
_logger = logging.getLogger(__name__)


def groups_of(images: Sequence[LabeledImage], with_copies: bool = False) -> list[str]:
    """A name for each image, equal for those that must stay together, however they are connected.

    The group of a patient has the patient's name. If images 1 and 2 are of patient A, and image 3 of patient B is a
    copy of 2, all three are "patient A".

    Args:
        images: of one split.
        with_copies: whether copies belong to one group.
    """
    names = [_group_alone(image, index) for index, image in enumerate(images)]
    numbers: dict[str, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    for index, (image, name) in enumerate(zip(images, names)):
        keys = [name, f"study {image.study}" if image.study else "", *image.ties]
        if with_copies and image.content is not None:
            keys.append(image.content)
        for key in filter(None, keys):
            rows.append(index)
            columns.append(numbers.setdefault(key, len(images) + len(numbers)))
    size = len(images) + len(numbers)
    _, components = connected_components(coo_array(([True] * len(rows), (rows, columns)), (size, size)), directed=False)
    first: dict[int, str] = {}
    return [first.setdefault(int(component), name) for component, name in zip(components, names)]


def _group_alone(image: LabeledImage, index: int) -> str:
    if image.patient:
        return f"patient {image.patient}"
    return f"study {image.study}" if image.study else f"image {index}"


def with_content(images: Sequence[LabeledImage], class_names: Sequence[str], source: Path) -> list[LabeledImage]:
    """The images; those that have copies get their ``content``.

    Raises:
        ValueError: if images with the same content have two labels, or are in two splits; the message names the pairs.
    """
    first = copies([image.image for image in images])
    known = list(images)
    same: list[str] = []
    different: dict[str, list[str]] = defaultdict(list)
    for index, original in first.items():
        image, other = images[index], images[original]
        known[index] = replace(image, content=f"content of image {original}")
        shown, shown_other = path_in(source, image.image), path_in(source, other.image)
        unequal = [(what, of) for what, of in _must_be_equal(class_names) if of(image) != of(other)]
        for what, of in unequal:
            different[what].append(f"{shown_other} ({of(other)}) and {shown} ({of(image)})")
        if index != original and not unequal:
            same.append(f"{shown} of {shown_other}")
    if different:
        found = [f"{what}: {listed(pairs)}" for what, pairs in different.items()]
        raise ValueError(f"{source}: images with the same content {'; and '.join(found)}; remove one of each two")
    if same:
        several = f"{len(same)} images are copies of others, and stay with them"
        said = several if len(same) > 1 else "1 image is a copy of another, and stays with it"
        _logger.warning("%s: %s: %s", source, said, listed(same))
    return known


def _must_be_equal(class_names: Sequence[str]) -> list[tuple[str, Callable[[LabeledImage], str]]]:
    return [
        ("with two labels", lambda image: class_names[image.label]),
        ("in two splits", lambda image: image.part),
    ]


def refuse_divided_studies(images: Sequence[LabeledImage], source: str | Path) -> None:
    """A study is predicted as a whole, so all its images have one label, patient and split.

    Raises:
        ValueError: if a study has two labels, patients, splits or folds.
    """
    seen: dict[str, LabeledImage] = {}
    for image in images:
        if image.study is None:
            continue
        first = seen.setdefault(image.study, image)
        for what in ("label", "patient", "split", "fold"):
            value = getattr(image, what)
            first_value = getattr(first, what)
            if value != first_value:
                raise ValueError(
                    f"{source}: study {image.study} has two {what}s: {first_value} ({first.image.name}) and {value} "
                    f"({image.image.name}); expected one"
                )


def refuse_leaks(images: Sequence[LabeledImage], source: Path) -> None:
    """Refuse a patient in two splits, who would make the measured quality too good.

    Raises:
        ValueError: if a patient, or a DICOM study or series, is in two splits or folds; the message names the first.
    """
    patients = _in_several_parts(images, lambda image: (image.patient,) if image.patient else ())
    if patients:
        raise ValueError(
            f"{source}: {len(patients)} patients are in more than one split: {listed(sorted(patients))}"
            f"; give all images of a patient the same split; or, {NOT_PATIENTS}"
        )
    divided = _in_several_parts(images, lambda image: image.ties)
    if divided:
        shown = [
            f"{tie}: " + " and ".join(f"{path_in(source, image.image)} ({part})" for part, image in found.items())
            for tie, found in divided.items()
        ]
        raise ValueError(
            f"{source}: {len(divided)} DICOM studies or series are in more than one split: {listed(shown)}; give all "
            "images of a study the same split; or, if anonymized DICOM files were all given one, set dicom_patients to "
            "false"
        )


def _in_several_parts(
    images: Sequence[LabeledImage], keys_of: Callable[[LabeledImage], tuple[str, ...]]
) -> dict[str, dict[str, LabeledImage]]:
    """For each key that is in several parts: the first image in each part, by part."""
    parts: dict[str, dict[str, LabeledImage]] = defaultdict(dict)
    for image in images:
        for key in keys_of(image):
            parts[key].setdefault(image.part, image)
    return {key: found for key, found in parts.items() if len(found) > 1}


def path_in(source: Path, image: Path) -> str:
    """The path of an image, as messages show it: from the folder of the source, if the image lies below it."""
    folder = source if source.is_dir() else source.parent
    is_below = image != folder and image.is_relative_to(folder)
    return str(image.relative_to(folder)) if is_below else str(image)
