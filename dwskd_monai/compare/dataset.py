"""The images of a comparison: that they can be read and divided, and which ones they are."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from tqdm import tqdm

from dwskd_monai.bundle import cause_of
from dwskd_monai.configs import read_config
from dwskd_monai.data.cache import StudyCache

_ITEMS = "train#dataset#data"
Contents = dict[str, dict[str, Any]]  # items by the digest of their image


def hash_of_data(bundle: Path, dataset_dir: Path, overrides: Mapping[str, Any]) -> str:
    """The digest of a bundle's training and validation images; see :func:`data_hashes`."""
    with tempfile.TemporaryDirectory() as cache:
        return data_hashes(read_config(bundle, "train", overrides), dataset_dir, None, None, Path(cache))[0]


def data_hashes(
    parser: ConfigParser, dataset_dir: Path, folds: int | None, test_dir: Path | None, cache_dir: Path
) -> tuple[str, str]:
    """Check the images, and give digests of contents, labels and splits; equal for equal data, wherever it lies.

    Args:
        parser: of the bundle's training.
        dataset_dir: labelled images.
        folds: number of folds that will be asked for; None: the bundle's own split.
        test_dir: labelled images that each run is evaluated on at its end.
        cache_dir: where the contents' digests are kept, so that no file is read twice for its own.

    Returns:
        The digest of the training and validation images, and that of the test images, "" without any.

    Raises:
        FileNotFoundError, ValueError: as :func:`~dwskd_monai.data.datalist.load_split`; if folds are asked for where
            the data names its own validation images; or if a test image is a training or validation image too.
    """
    parser["dataset_dir"] = str(dataset_dir)
    if folds is not None:
        parser["folds"] = folds
        first, second = (_items(parser, "validation", fold) for fold in (0, 1))
        if first == second:
            raise ValueError(
                f"{dataset_dir} names its own validation images, so all folds would be the same: leave folds out, or "
                "give images that are not divided yet"
            )
    cache = StudyCache(cache_dir, [])
    splits = {split: _contents(_items(parser, split, 0), cache, split) for split in ("training", "validation")}
    tests: Contents = {}
    if test_dir is not None:
        if not test_dir.exists():
            raise FileNotFoundError(f"test_dir: {test_dir} does not exist")
        parser["dataset_dir"] = str(test_dir)
        tests = _contents(_items(parser, "all", 0), cache, "test")
        known = splits["training"] | splits["validation"]
        shared = [
            f"{item['image']} is {known[content]['image']}" for content, item in tests.items() if content in known
        ]
        if shared:
            raise ValueError(
                f"test_dir: {len(shared)} images are training or validation images too: {'; '.join(shared[:3])}"
            )
    cache.save_index()
    return _digest(splits if folds is None else {"": splits["training"] | splits["validation"]}), _digest({"": tests})


def _contents(items: Sequence[dict[str, Any]], cache: StudyCache, name: str) -> Contents:
    bar = tqdm(items, f"hashing {name} images", unit="image", leave=False)
    return {cache.path_of(item["image"]).stem: item for item in bar}


def _digest(splits: Mapping[str, Contents]) -> str:
    listed = [
        (name, sorted((content, item["label"]) for content, item in items.items())) for name, items in splits.items()
    ]
    return hashlib.blake2b(repr(listed).encode(), digest_size=8).hexdigest() if any(splits.values()) else ""


def _items(parser: ConfigParser, split: str, fold: int) -> list[dict[str, Any]]:
    settings = {**parser[_ITEMS], "split": split, "fold": fold, "train_fraction": 1.0}
    before = parser[_ITEMS]
    parser[_ITEMS] = settings
    parser.parse(reset=True)
    try:
        items: list[dict[str, Any]] = parser.get_parsed_content(_ITEMS)
    except RuntimeError as error:
        raise cause_of(error) from error
    finally:
        parser[_ITEMS] = before
    return items
