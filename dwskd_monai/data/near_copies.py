"""Images that show the same picture: resized, compressed again, mirrored, turned, or with another brightness.

Two thumbnails are compared by the correlation of what sets each apart from the average image of the dataset: images of
one body part all look alike, but only copies also agree in these differences. Both the whole image and its middle must
agree: otherwise a frame that some images have would make these look alike. Perceptual hashes keep 64 bits of an image,
too few to tell two slices of one head from a slice and its copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIDE = 32  # pixels of a thumbnail
SIMILARITY = 0.96  # least correlation of two copies; see benchmarks/near_copies.py for what it finds
_MARGIN = SIDE // 8  # pixels around the middle
_COMPONENTS = 48  # numbers of a thumbnail that are compared first
_SAMPLED = 2000  # thumbnails from which the components are found
_BLOCK = 4096  # images that are compared at a time
_TURNS = ("", "turned by 90°", "turned by 180°", "turned by 270°")

Thumbnails = NDArray[np.floating]  # (N, SIDE, SIDE)
Vectors = NDArray[np.float32]  # (N, pixels), of length 1


@dataclass(frozen=True)
class NearCopy:
    """Two images that show the same.

    Args:
        first, second: their places among the thumbnails, first < second.
        similarity: correlation of their thumbnails without the average one, at most 1.
        change: how the second must be changed to lie like the first: "mirrored", "turned by 90°"; empty if not.
    """

    first: int
    second: int
    similarity: float
    change: str


def near_copies(thumbnails: Thumbnails, similarity: float = SIMILARITY) -> list[NearCopy]:
    """All pairs of images that show the same, the most similar first; each pair once, as it fits best.

    An image that was cropped, or turned by a few degrees, counts as a different one.

    Args:
        thumbnails: ``(N, 32, 32)``, each image resized by area, whatever its aspect and range of values.
        similarity: least correlation of a pair.

    Examples:
        >>> images = np.random.default_rng(0).random((4, SIDE, SIDE))
        >>> images[3] = 50 + 20 * images[1, :, ::-1]
        >>> near_copies(images)
        [NearCopy(first=1, second=3, similarity=1.0, change='mirrored')]
    """
    if len(thumbnails) < 2:
        return []
    images = np.asarray(thumbnails, np.float32)
    whole = _without_average(images)
    middle = _without_average(images[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN])
    components = _components(middle)
    queries = _compressed(_unit(middle), components)
    found: dict[tuple[int, int], NearCopy] = {}
    for (change, turned), (_, turned_middle) in zip(_views(whole), _views(middle)):
        targets = _compressed(_unit(turned_middle), components)
        for first, second in _candidates(queries, targets, similarity):
            values = np.minimum(
                _correlations(middle[first], turned_middle[second]), _correlations(whole[first], turned[second])
            )
            for index in np.flatnonzero(values >= similarity):
                pair = (int(first[index]), int(second[index]))
                if pair not in found or values[index] > found[pair].similarity:
                    found[pair] = NearCopy(*pair, round(min(float(values[index]), 1.0), 4), change)
    return sorted(found.values(), key=lambda pair: (-pair.similarity, pair.first, pair.second))


def _without_average(thumbnails: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each with mean 0 and deviation 1, less the average of all in every direction."""
    deviation = thumbnails.std((1, 2), keepdims=True)
    scaled = (thumbnails - thumbnails.mean((1, 2), keepdims=True)) / np.maximum(deviation, 1e-6)
    average = scaled.mean(0, keepdims=True)
    # of few images, each is a large part of the average; two copies would lose what they have in common
    share = max(0.0, 1 - 20 / len(thumbnails))
    return scaled - np.float32(share) * np.mean([view for _, view in _views(average)], axis=0)


def _views(images: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The eight ways to lay a square, and what was done."""
    for quarter, turned in enumerate(_TURNS):
        view = np.rot90(images, quarter, (1, 2))
        yield turned, view
        yield ", ".join(filter(None, ("mirrored", turned))), view[:, :, ::-1]


def _unit(images: NDArray[np.float32]) -> Vectors:
    vectors = images.reshape(len(images), -1)
    vectors = vectors - vectors.mean(1, keepdims=True)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def _components(distinct: NDArray[np.float32]) -> NDArray[np.float32]:
    """Principal components ``(pixels, K)`` of a sample of the images in each direction."""
    step = -(-len(distinct) // _SAMPLED)
    vectors = np.concatenate([_unit(view) for _, view in _views(distinct[::step])])
    _, components = np.linalg.eigh(vectors.T @ vectors)
    return np.ascontiguousarray(components[:, -_COMPONENTS:])


def _compressed(vectors: Vectors, components: NDArray[np.float32]) -> NDArray[np.float32]:
    """Components of vectors of length 1, and the length of what they leave out.

    The product of two compressed vectors is never below that of the whole ones (Cauchy–Schwarz), so no pair is missed.
    """
    parts = vectors @ components
    rest = np.sqrt(np.maximum(0, 1 - (parts**2).sum(1, keepdims=True)))
    return np.concatenate([parts, rest], axis=1)


def _candidates(
    queries: NDArray[np.float32], targets: NDArray[np.float32], similarity: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs, first < second, that may be similar enough; a block of images at a time."""
    for start in range(0, len(queries), _BLOCK):
        for other in range(start, len(targets), _BLOCK):
            products = queries[start : start + _BLOCK] @ targets[other : other + _BLOCK].T
            hits = np.flatnonzero(products.max(1) >= similarity - 1e-4)  # few rows; nonzero over all of them is slow
            rows, columns = np.nonzero(products[hits] >= similarity - 1e-4)
            first, second = hits[rows] + start, columns + other
            for part in range(0, len(first), _BLOCK):  # of many pairs, a few at a time are looked at
                chosen = slice(part, part + _BLOCK)
                ordered = first[chosen] < second[chosen]
                if ordered.any():
                    yield first[chosen][ordered], second[chosen][ordered]


def _correlations(images: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each image with the other at its place."""
    return (_unit(images) * _unit(others)).sum(1)
