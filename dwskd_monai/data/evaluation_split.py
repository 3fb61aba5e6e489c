"""The images for the evaluation of a trained network; their contents show which of them it learned from."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from dwskd_monai.class_order import ClassNames
from dwskd_monai.data.cache import ImageCache, digest_of
from dwskd_monai.data.datalist import load_split
from dwskd_monai.data.images import list_images
from dwskd_monai.data.refused import RefusedImages
from dwskd_monai.data.text import listed

_logger = logging.getLogger(__name__)
Item = dict[str, str | int]
ImagesOfTraining = Mapping[str, Collection[str] | None]
_LEARNED = {
    "training": "was trained on {}",
    "unlabeled": "learned from {} without their labels",
    "earlier": "started from one that had learned from {}",
}
_NOT_LISTED = (
    "split %s: %s learned from images that its settings do not list; it is unknown whether they are among the %d images"
)


def load_evaluation_split(
    dataset_dir: str | Path,
    class_names: ClassNames,
    split: str,
    images: ImagesOfTraining,
    allow_trained_images: bool = False,
    cache_dir: str | Path | None = None,
    others: ImagesOfTraining | None = None,
    **options: Any,
) -> list[Item]:
    """Items of a split, as :func:`~dwskd_monai.data.datalist.load_split` gives them, for a trained network.

    The splits ``training`` and ``validation`` are the images of its training, whatever the fold, the seed and their
    paths are now. Other splits must not contain images that it learned from, with or without their labels: on these any
    network looks good.

    Args:
        dataset_dir: the source.
        class_names: names in the order of the labels, or ``channel_def`` of the metadata.
        split: ``training``, ``validation``, ``test``, or ``all`` for every image.
        images: digests of the contents of the images of its training: ``training``, on which it was trained (if there
            are none, the images are unknown); ``validation``, by which its best epoch was chosen; ``unlabeled``, from
            which it learned without their labels; ``earlier``, from which the networks it started from had learned.
            None instead of digests: there were some, but they are not listed, and the log says so.
        allow_trained_images: for ``test`` and ``all``, use images that it learned from too.
        cache_dir: folder in which digests are kept, so that no image is read twice for its digest; None: nowhere.
        others: likewise of the training of another network, which is evaluated on the same images; None: there is none.
        options: of ``load_split``; ``folds``, ``fold``, ``seed`` and ``train_fraction`` are used only if the images of
            the training are unknown.

    Raises:
        FileNotFoundError, ValueError: as ``load_split``; also if images were learned from (the message has the
            first names), or if no image of the training is there.
    """
    wanted = set(images.get(split) or ()) if split in ("training", "validation") else set()
    if wanted:
        items = load_split(dataset_dir, class_names, "all", **options, others_of=split)
        chosen = [item for item, digest in zip(items, digests_of(items, cache_dir)) if digest in wanted]
        _check_found(chosen, wanted, split, dataset_dir)
        _check_learned(chosen, others, split, "the other network", allow_trained_images, cache_dir)
        return chosen
    items = load_split(dataset_dir, class_names, split, **options)
    _check_learned(items, images, split, "the network", allow_trained_images, cache_dir)
    _check_learned(items, others, split, "the other network", allow_trained_images, cache_dir)
    return items


def has_trained_images(split: str, images: ImagesOfTraining, allowed: bool) -> bool | None:
    """Whether a network may have learned from images of its evaluation; None if it is unknown from which it learned.

    Args:
        split, images: as for :func:`load_evaluation_split`.
        allowed: ``allow_trained_images`` of :func:`load_evaluation_split`.
    """
    if not images.get("training"):
        return None
    if split == "training" or allowed:
        return True
    if split == "validation" and set(images.get(split) or ()) & set(images.get("earlier") or ()):
        return True
    return None if None in images.values() else False


def digests_of(items: Sequence[Mapping[str, Any]], cache_dir: str | Path | None) -> list[str]:
    """Digests of the contents of images; empty for an image that cannot be opened, which reading will refuse."""
    cache = None if cache_dir is None else ImageCache(cache_dir, [])
    digests = [_digest(str(item["image"]), cache) for item in items]
    if cache is not None:
        cache.save_index()
    return digests


def listed_digests(
    place: str | Path,
    cache_dir: str | Path | None,
    dicom_series: bool,
    ignored_columns: Collection[str] | str,
    setting: str,
) -> list[str]:
    """Digests of the contents of all images without labels of a folder or a datalist, without those that are missing.

    Args:
        place: as :func:`~dwskd_monai.data.images.list_images` takes it.
        cache_dir: where digests are kept; None: nowhere.
        dicom_series, ignored_columns, setting: as of ``list_images``.

    Raises:
        FileNotFoundError: if the place does not exist, or has no image.
    """
    with tempfile.TemporaryDirectory() as folder:  # files that cannot be used are listed, and nobody needs the list
        refused = RefusedImages(Path(folder) / "refused.csv")
        items = list_images(place, dicom_series, ignored_columns, refused, setting)
    return sorted(digest for digest in digests_of(items, cache_dir) if digest)


def _digest(image: str, cache: ImageCache | None) -> str:
    try:
        return digest_of(image) if cache is None else cache.digest_of(image)
    except OSError:
        return ""


def _check_found(chosen: Sequence[Item], wanted: Collection[str], split: str, source: str | Path) -> None:
    if not chosen:
        raise ValueError(
            f"{source}: none of the {len(wanted)} {split} images of the training is there; give the data of the "
            "training, or another split"
        )
    if len(chosen) < len(wanted):
        _logger.warning("%s: %d of the %d %s images of the training are there", source, len(chosen), len(wanted), split)


def _check_learned(
    items: Sequence[Item],
    images: ImagesOfTraining | None,
    split: str,
    network: str,
    allowed: bool,
    cache_dir: str | Path | None,
) -> None:
    """Refuse images that a network learned from, if it is known which these are."""
    if images is None or not images.get("training") or allowed:
        return
    if None in images.values():
        _logger.warning(_NOT_LISTED, split, network, len(items))
    _refuse_learned(items, digests_of(items, cache_dir), images, split, network)


def _refuse_learned(
    items: Sequence[Item], digests: Sequence[str], images: ImagesOfTraining, split: str, network: str
) -> None:
    told = []
    for part, how in _LEARNED.items():
        contents = set(images.get(part) or ())
        names = [Path(str(item["image"])).name for item, digest in zip(items, digests) if digest in contents]
        if names:
            told.append(f"{how.format(f'{len(names)} of the {len(items)} images')}: {listed(names)}")
    if told:
        raise ValueError(
            f"split {split}: {network} {'; it '.join(told)}; evaluate it on other images, or set "
            "allow_trained_images: true, which the report will say"
        )
