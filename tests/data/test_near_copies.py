"""Which images show the same: against all correlations of all views, and planted copies."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from dwskd_monai.data.near_copies import SIDE, SIMILARITY, near_copies


def smooth(count: int, seed: int = 0, side: int = 128) -> list[Image.Image]:
    """Pictures that have a bright middle in common, and a pattern of their own."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    common = 150 * np.exp(-2 * (rows**2 + columns**2))
    own = [Image.fromarray(random.normal(0, 1, (9, 9)).astype(np.float32)) for _ in range(count)]
    patterns = [np.asarray(pattern.resize((side, side), Image.Resampling.BICUBIC)) for pattern in own]
    return [Image.fromarray((50 + common + 15 * pattern).clip(0, 255).astype(np.uint8)) for pattern in patterns]


def thumbnails(pictures: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(one.convert("F").resize((SIDE, SIDE), Image.Resampling.BOX)) for one in pictures])


def compressed(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=30)
    return Image.open(file)


CHANGES = {
    "resized": (lambda one: one.resize((90, 61), Image.Resampling.BICUBIC), ""),
    "compressed": (compressed, ""),
    "brighter": (lambda one: ImageEnhance.Brightness(one).enhance(1.1), ""),
    "less contrast": (lambda one: ImageEnhance.Contrast(one).enhance(0.6), ""),
    "mirrored": (lambda one: ImageOps.mirror(compressed(one)), "mirrored"),
    "upside down": (ImageOps.flip, "mirrored, turned by 180°"),
    "turned": (lambda one: one.transpose(Image.Transpose.ROTATE_180).resize((80, 80)), "turned by 180°"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found_among_others_and_nothing_else_is(change):
    pictures = smooth(60)
    changed, expected = CHANGES[change]
    found = near_copies(thumbnails([*pictures, changed(pictures[7])]))
    assert [(pair.first, pair.second, pair.change) for pair in found] == [(7, 60, expected)]


def own(images: np.ndarray) -> np.ndarray:
    """What each image has beside the average of all, as the definition says it."""
    scaled = (images - images.mean((1, 2), keepdims=True)) / images.std((1, 2), keepdims=True)
    return scaled - (1 - 20 / len(images)) * np.mean(views(scaled.mean(0)), axis=0)


def views(image: np.ndarray) -> list[np.ndarray]:
    return [view for turns in range(4) for view in (np.rot90(image, turns), np.rot90(image, turns)[:, ::-1])]


@pytest.mark.slow
def test_pairs_are_those_that_correlate_in_some_view_as_a_whole_and_in_the_middle():
    pictures = smooth(40, seed=3)
    images = thumbnails([*pictures, *(Image.blend(pictures[index], pictures[index + 1], 0.1) for index in range(20))])
    found = near_copies(images, similarity=0.9)
    whole, middle = own(images), own(images[:, 4:-4, 4:-4])
    expected = {}
    for first, second in itertools.combinations(range(len(images)), 2):
        pairs = [
            [(whole[first], view), (middle[first], of_middle)]
            for view, of_middle in zip(views(whole[second]), views(middle[second]))
        ]
        best = max(min(np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in pair) for pair in pairs)
        if best >= 0.9:
            expected[first, second] = best
    assert len(expected) >= 20
    assert {(pair.first, pair.second): pair.similarity for pair in found} == pytest.approx(expected, abs=1e-3)


def test_a_frame_that_some_images_have_does_not_make_them_copies():
    pictures = smooth(60)
    framed = [ImageOps.expand(one.resize((100, 100)), 14, 255) for one in pictures[:20]]
    assert near_copies(thumbnails([*framed, *pictures[20:]])) == []


def test_pairs_are_found_across_blocks(monkeypatch):
    pictures = smooth(50, seed=1)
    images = thumbnails([*pictures, *map(ImageOps.mirror, pictures[:10])])
    whole = near_copies(images)
    monkeypatch.setattr("dwskd_monai.data.near_copies._BLOCK", 7)
    assert near_copies(images) == whole
    assert {(pair.first, pair.second) for pair in whole} == {(index, 50 + index) for index in range(10)}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_images(count):
    images = thumbnails(smooth(3))[:count]
    assert near_copies(images) == []
    if count == 2:
        (pair,) = near_copies(np.concatenate([images[:1], images[:1] * 3 + 5]))
        assert (pair.first, pair.second, pair.change) == (0, 1, "")
        assert pair.similarity >= SIMILARITY
