"""Which images a dataset has, by digests of their contents, which do not depend on their paths."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from tqdm import tqdm

from dwskd_monai.data.cache import ImageCache

Contents = dict[str, dict[str, Any]]  # items by the digest of their image


def contents(items: Sequence[dict[str, Any]], cache: ImageCache, name: str) -> Contents:
    """Items by the digest of their image.

    Args:
        items: with ``image``.
        cache: keeps the digests, so that no file is read twice for its digest.
        name: of the images, for the progress bar.
    """
    bar = tqdm(items, f"hashing {name} images", unit="image", leave=False, disable=None)
    return {cache.digest_of(item["image"]): item for item in bar}


def digest_of_splits(splits: Mapping[str, Contents]) -> str:
    """One digest of contents and labels, by split; "" if there is no image."""
    if not any(splits.values()):
        return ""
    listed = []
    for name, items in splits.items():
        labels = [(content, item["label"]) for content, item in items.items()]
        listed.append((name, sorted(labels)))
    return short_digest(listed)


def short_digest(listed: Sequence[Any]) -> str:
    """16 digits that tell two lists of words and numbers apart."""
    return hashlib.blake2b(repr(listed).encode(), digest_size=8).hexdigest()
