"""What a trained network is evaluated on: its own validation images, and none that it was trained on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dwskd_monai.data import has_trained_images, load_evaluation_split, load_split
from dwskd_monai.data.cache import digest_of

NAMES = ("a", "b")


def save_picture(value: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), value, np.uint8)).save(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve different pictures of each class."""
    for label, name in enumerate(NAMES):
        for number in range(12):
            save_picture(20 * number + label, tmp_path / "data" / name / f"{number:02}.png")
    return tmp_path / "data"


def digests(items) -> set[str]:
    return {digest_of(item["image"]) for item in items}


@pytest.fixture
def images(data) -> dict[str, set[str]]:
    """What was trained with fold 0 of seed 0, by content."""
    return {split: digests(load_split(data, NAMES, split)) for split in ("training", "validation")}


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("choice", [{}, {"seed": 1}, {"fold": 3}, {"folds": 3}])
def test_validation_images_are_those_of_the_training_whatever_is_chosen_now(data, images, tmp_path, choice, cached):
    cache_dir = tmp_path / "cache" if cached else None
    items = load_evaluation_split(data, NAMES, "validation", **images, cache_dir=cache_dir, **choice)
    assert digests(items) == images["validation"]
    assert digests(load_evaluation_split(data, NAMES, "training", **images, **choice)) == images["training"]


def test_they_are_found_by_content_after_files_were_added_and_moved(data, images, tmp_path):
    save_picture(255, data / "a" / "00_first.png")
    moved = shutil.move(data, tmp_path / "elsewhere")
    assert digests(load_evaluation_split(moved, NAMES, "validation", **images)) == images["validation"]


def test_images_that_were_trained_on_are_refused_with_count_and_first_names(data, images):
    trained = len(images["training"])
    message = (
        rf"trained on {trained} of the 24 images: \d\d.png, .* and {trained - 10} more; evaluate it on other images"
    )
    with pytest.raises(ValueError, match=message):
        load_evaluation_split(data, NAMES, "all", **images)
    assert len(load_evaluation_split(data, NAMES, "all", **images, allow_trained_images=True)) == 24


def test_a_copy_of_a_training_image_is_refused_under_any_name(data, images, tmp_path):
    trained = load_split(data, NAMES, "training")[0]
    for value, name in enumerate(NAMES, 7):
        save_picture(value, tmp_path / "new" / name / "new.png")
    shutil.copy(trained["image"], tmp_path / "new" / "a" / "copy.png")
    with pytest.raises(ValueError, match=r"trained on 1 of the 3 images: copy.png; evaluate it on other images"):
        load_evaluation_split(tmp_path / "new", NAMES, "all", **images)


def test_images_that_are_gone_are_counted_and_none_is_an_error(data, images, caplog):
    gone = min(images["validation"])
    for item in load_split(data, NAMES, "all"):
        if digest_of(item["image"]) == gone:
            Path(item["image"]).unlink()
    count = len(images["validation"])
    assert len(load_evaluation_split(data, NAMES, "validation", **images)) == count - 1
    assert f"{count - 1} of the {count} validation images of the training are there" in caplog.text
    with pytest.raises(ValueError, match="none of the 1 validation images of the training is there"):
        load_evaluation_split(data, NAMES, "validation", training=images["training"], validation={"00"})


def test_for_a_network_of_unknown_images_the_splits_are_those_of_a_training(data):
    for split in ("validation", "all"):
        expected = load_split(data, NAMES, split, seed=3)
        assert load_evaluation_split(data, NAMES, split, seed=3) == expected


def test_a_series_is_the_same_under_other_names_of_its_files(tmp_path):
    for folder, names in (("one", "abc"), ("other", "cab")):
        for value, name in enumerate(names):
            save_picture(value, tmp_path / folder / f"{name}.png")
    assert digest_of(tmp_path / "one") == digest_of(tmp_path / "other")
    save_picture(9, tmp_path / "other" / "c.png")
    assert digest_of(tmp_path / "one") != digest_of(tmp_path / "other")


@pytest.mark.parametrize(
    ("split", "training", "allowed", "expected"),
    [
        ("training", ["a"], False, True),
        ("test", ["a"], False, False),
        ("all", ["a"], True, True),
        ("all", [], False, None),
    ],
)
def test_whether_images_may_have_been_trained_on(split, training, allowed, expected):
    assert has_trained_images(split, training, allowed) is expected
