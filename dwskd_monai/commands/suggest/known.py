"""Images that must not be suggested, because they are labeled or held out; and which images are copies of such."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from dwskd_monai.commands.suggest.judges import REFUSED_HELD_OUT, REFUSED_LABELED, Judges
from dwskd_monai.data.images import list_images, list_unlabeled_tests
from dwskd_monai.data.near_copies import NearCopy
from dwskd_monai.data.refused import RefusedImages
from dwskd_monai.data.slices import SliceDataset

LABELED, HELD_OUT = "labeled", "held out"
_logger = logging.getLogger(__name__)
Items = Sequence[Mapping[str, Any]]


def read_known(judges: Judges, dataset_dir: str | None, folder: Path) -> dict[str, SliceDataset]:
    """The images that are labeled or held out, by their kind.

    Args:
        judges: the bundle; its setting ``held_out_dir`` names the latter.
        dataset_dir: labeled images; None: those that the bundle names, if they are there.
        folder: where images that cannot be used are listed.

    Raises:
        FileNotFoundError, ValueError: if a source is not there, or something is wrong with it, or no image of it can be
            used.
    """
    found: dict[str, tuple[Items, RefusedImages]] = {}
    source = str(judges.setting("dataset_dir", "train")) if dataset_dir is None else dataset_dir
    if dataset_dir is None and not Path(source).expanduser().exists():
        _logger.warning(
            "dataset_dir: %s is not there, so images of the training are known by their contents only, and near "
            "copies of them may be suggested; give the labeled images: --dataset_dir DIR", source,
        )  # fmt: skip
    else:
        refused = RefusedImages(folder / REFUSED_LABELED)
        found[LABELED] = (judges.labeled_items(source, refused), refused)
    held_out_dir = judges.setting("held_out_dir", "train")
    refused = RefusedImages(folder / REFUSED_HELD_OUT)
    items = list_unlabeled_tests(source, judges.listing()["ignored_columns"])
    if held_out_dir is not None:
        items += list_images(held_out_dir, **judges.listing(), refused=refused, setting="held_out_dir")
    if items:
        found[HELD_OUT] = (items, refused)
    return {kind: _read(judges, *listed, kind) for kind, listed in found.items()}


def _read(judges: Judges, items: Items, refused: RefusedImages, kind: str) -> SliceDataset:
    dataset = judges.read(items, refused)
    refused.keep()
    if dataset.refused_count:
        _logger.warning(
            "%d %s images cannot be used, so copies of them may be suggested; %s says why",
            dataset.refused_count, kind, refused.path,
        )  # fmt: skip
    return dataset


def copies_of(known: Collection[int], pairs: Sequence[NearCopy]) -> set[int]:
    """The places of images that are not known, but show the same as one that is.

    Args:
        known: places of images.
        pairs: images that show the same.

    Examples:
        >>> sorted(copies_of({1}, [NearCopy(0, 1, 1.0, ""), NearCopy(1, 3, 0.98, "mirrored"), NearCopy(2, 4, 1.0, "")]))
        [0, 3]
    """
    copies = {pair.first for pair in pairs if pair.second in known}
    copies |= {pair.second for pair in pairs if pair.first in known}
    return copies.difference(known)
