"""Checks that the images of a comparison can be divided, and computes digests of them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.data.cache import ImageCache
from dwskd_monai.data.digests import Contents, contents, digest_of_splits, short_digest
from dwskd_monai.data.evaluation_split import listed_digests


def data_hashes(
    bundle: Bundle, dataset_dir: Path, folds: int | None, test_dir: Path | None, cache_dir: Path
) -> tuple[str, str]:
    """Check the images, and return digests of contents, labels and splits, which do not depend on paths.

    Args:
        bundle: the bundle, with the overrides of all runs.
        dataset_dir: labeled images.
        folds: number of folds that will be used; None: the bundle's own split.
        test_dir: labeled images that each run is evaluated on at its end.
        cache_dir: where digests are kept, so that no file is read twice for its digest.

    Returns:
        The digest of the training and validation images, and that of the test images, which is "" without any.

    Raises:
        FileNotFoundError, ValueError: as :func:`~dwskd_monai.data.datalist.load_split`; also if a test image is a
            training or validation image too.
    """
    if folds is not None:
        bundle.items(dataset_dir, "validation", folds - 1, folds)  # refused if the data names its validation images
    cache = ImageCache(cache_dir, [])
    splits = {
        split: contents(bundle.items(dataset_dir, split, 0, folds), cache, split)
        for split in ("training", "validation")
    }
    tests: Contents = {}
    if test_dir is not None:
        if not test_dir.exists():
            raise FileNotFoundError(f"test_dir: {test_dir} does not exist")
        tests = contents(bundle.items(test_dir, "all"), cache, "test")
        known = splits["training"] | splits["validation"]
        shared = [
            f"{item['image']} is {known[content]['image']}" for content, item in tests.items() if content in known
        ]
        if shared:
            raise ValueError(
                f"test_dir: {len(shared)} images are training or validation images too: {'; '.join(shared[:3])}"
            )
    cache.save_index()
    if folds is not None:
        splits = {"": splits["training"] | splits["validation"]}  # each fold divides them in another way
    return digest_of_splits(splits), digest_of_splits({"": tests})


def hash_of_unlabeled(bundle: Bundle, places: Collection[tuple[str, Path]], cache_dir: Path) -> str:
    """A digest of the contents of images without labels, which does not depend on paths; "" if there are none.

    Args:
        bundle: the bundle.
        places: folders or datalists, each with the setting that names it.
        cache_dir: as of :func:`data_hashes`.

    Raises:
        FileNotFoundError: if a place does not exist, or has no image.
    """
    listing = bundle.listing()
    found = [listed_digests(place, cache_dir, setting=setting, **listing) for setting, place in places]
    return short_digest(found) if found else ""
