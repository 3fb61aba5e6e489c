"""The images for the evaluation of a trained network; their contents show which of them it learned from."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from dwskd_monai.class_order import ClassNames
from dwskd_monai.data.cache import ImageCache, digest_of
from dwskd_monai.data.datalist import load_split
from dwskd_monai.data.text import listed

_logger = logging.getLogger(__name__)
Item = dict[str, str | int]
_NOT_LISTED = (
    "split %s: the network learned from images without labels, but its settings, written by an earlier version, do not "
    "list them; it is unknown whether any of the %d images is among them"
)


def load_evaluation_split(
    dataset_dir: str | Path,
    class_names: ClassNames,
    split: str,
    training: Collection[str] = (),
    validation: Collection[str] = (),
    unlabeled: Collection[str] | None = (),
    allow_trained_images: bool = False,
    cache_dir: str | Path | None = None,
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
        training: digests of the contents of the images that the network was trained on; empty: unknown.
        validation: digests of the images by which its best epoch was chosen.
        unlabeled: digests of the images that it learned from without their labels; None: there are some, but the
            settings of an earlier version do not list them, and the log says so.
        allow_trained_images: for ``test`` and ``all``, use images that it learned from too.
        cache_dir: folder in which digests are kept, so that no image is read twice for its digest; None: nowhere.
        options: of ``load_split``; ``folds``, ``fold``, ``seed`` and ``train_fraction`` are used only if the images of
            the training are unknown.

    Raises:
        FileNotFoundError, ValueError: as ``load_split``; also if images were learned from (the message has the
            first names), or if no image of the training is there.
    """
    of_the_training = {"training": set(training), "validation": set(validation)}
    wanted = of_the_training.get(split, set())
    if wanted:
        items = load_split(dataset_dir, class_names, "all", **options, others_of=split)
        chosen = [item for item, digest in zip(items, _digests(items, cache_dir)) if digest in wanted]
        _check_found(chosen, wanted, split, dataset_dir)
        return chosen
    items = load_split(dataset_dir, class_names, split, **options)
    if training and not allow_trained_images:
        if unlabeled is None:
            _logger.warning(_NOT_LISTED, split, len(items))
        _refuse_learned(items, _digests(items, cache_dir), set(training), set(unlabeled or ()), split)
    return items


def has_trained_images(
    split: str, training: Collection[str], unlabeled: Collection[str] | None, allowed: bool
) -> bool | None:
    """Whether a network may have learned from images of its evaluation; None if it is unknown from which it learned.

    Args:
        split, training, unlabeled: as for :func:`load_evaluation_split`.
        allowed: ``allow_trained_images`` of :func:`load_evaluation_split`.
    """
    if not training:
        return None
    if split == "training" or allowed:
        return True
    return None if unlabeled is None and split != "validation" else False


def _digests(items: Sequence[Item], cache_dir: str | Path | None) -> list[str]:
    """Digests of the contents of images; empty for an image that cannot be opened, which reading will refuse."""
    cache = None if cache_dir is None else ImageCache(cache_dir, [])
    digests = [_digest(str(item["image"]), cache) for item in items]
    if cache is not None:
        cache.save_index()
    return digests


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


def _refuse_learned(
    items: Sequence[Item], digests: Sequence[str], training: Collection[str], unlabeled: Collection[str], split: str
) -> None:
    learned = {"was trained on {}": training, "learned from {} without their labels": unlabeled}
    told = []
    for how, contents in learned.items():
        names = [Path(str(item["image"])).name for item, digest in zip(items, digests) if digest in contents]
        if names:
            told.append(f"{how.format(f'{len(names)} of the {len(items)} images')}: {listed(names)}")
    if told:
        raise ValueError(
            f"split {split}: the network {'; it '.join(told)}; evaluate it on other images, or set "
            "allow_trained_images: true, which the report will say"
        )
