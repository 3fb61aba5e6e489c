"""The images for the evaluation of a trained network; their contents show which of them it was trained on."""

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


def load_evaluation_split(
    dataset_dir: str | Path,
    class_names: ClassNames,
    split: str,
    training: Collection[str] = (),
    validation: Collection[str] = (),
    allow_trained_images: bool = False,
    cache_dir: str | Path | None = None,
    **options: Any,
) -> list[Item]:
    """Items of a split, as :func:`~dwskd_monai.data.datalist.load_split` gives them, for a trained network.

    The splits ``training`` and ``validation`` are the images of its training, whatever the fold, the seed and their
    paths are now. Other splits must not contain images that it was trained on, on which any network looks good.

    Args:
        dataset_dir: the source.
        class_names: names in the order of the labels, or ``channel_def`` of the metadata.
        split: ``training``, ``validation``, ``test``, or ``all`` for every image.
        training: digests of the contents of the images that the network was trained on; empty: unknown.
        validation: digests of the images by which its best epoch was chosen.
        allow_trained_images: for ``test`` and ``all``, use images that it was trained on too.
        cache_dir: folder in which digests are kept, so that no image is read twice for its digest; None: nowhere.
        options: of ``load_split``; ``folds``, ``fold``, ``seed`` and ``train_fraction`` are used only if the images of
            the training are unknown.

    Raises:
        FileNotFoundError, ValueError: as ``load_split``; also if images were trained on (the message has the first
            names), or if no image of the training is there.
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
        digests = _digests(items, cache_dir)
        _refuse([item for item, digest in zip(items, digests) if digest in of_the_training["training"]], items, split)
    return items


def has_trained_images(split: str, training: Collection[str], allowed: bool) -> bool | None:
    """Whether a network may have been trained on images of its evaluation; None if its training images are unknown.

    Args:
        split, training: as for :func:`load_evaluation_split`.
        allowed: ``allow_trained_images`` of :func:`load_evaluation_split`.
    """
    return (split == "training" or allowed) if training else None


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


def _refuse(trained: Sequence[Item], items: Sequence[Item], split: str) -> None:
    if trained:
        shown = listed([Path(str(item["image"])).name for item in trained])
        raise ValueError(
            f"split {split}: the network was trained on {len(trained)} of the {len(items)} images: {shown}; evaluate "
            "it on other images, or set allow_trained_images: true, which the report will say"
        )
