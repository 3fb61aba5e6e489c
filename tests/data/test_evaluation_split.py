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
    items = load_evaluation_split(data, NAMES, "validation", images, cache_dir=cache_dir, **choice)
    assert digests(items) == images["validation"]
    assert digests(load_evaluation_split(data, NAMES, "training", images, **choice)) == images["training"]


def test_they_are_found_by_content_after_files_were_added_and_moved(data, images, tmp_path):
    save_picture(255, data / "a" / "00_first.png")
    moved = shutil.move(data, tmp_path / "elsewhere")
    assert digests(load_evaluation_split(moved, NAMES, "validation", images)) == images["validation"]


def test_images_that_were_trained_on_are_refused_with_count_and_first_names(data, images):
    trained = len(images["training"])
    message = (
        rf"trained on {trained} of the 24 images: \d\d.png, .* and {trained - 10} more; evaluate it on other images"
    )
    with pytest.raises(ValueError, match=message):
        load_evaluation_split(data, NAMES, "all", images)
    assert len(load_evaluation_split(data, NAMES, "all", images, allow_trained_images=True)) == 24


def test_a_copy_of_a_training_image_is_refused_under_any_name(data, images, tmp_path):
    trained = load_split(data, NAMES, "training")[0]
    for value, name in enumerate(NAMES, 7):
        save_picture(value, tmp_path / "new" / name / "new.png")
    shutil.copy(trained["image"], tmp_path / "new" / "a" / "copy.png")
    with pytest.raises(ValueError, match=r"trained on 1 of the 3 images: copy.png; evaluate it on other images"):
        load_evaluation_split(tmp_path / "new", NAMES, "all", images)


@pytest.fixture
def pool(tmp_path) -> Path:
    """Five further images, in the classes that somebody gave them later."""
    for number in range(5):
        save_picture(110 + number, tmp_path / "pool" / NAMES[number % 2] / f"{number}.png")
    return tmp_path / "pool"


def test_images_that_were_learned_from_without_their_labels_are_refused_too(images, pool):
    learned = images | {"unlabeled": digests([{"image": pool / "a" / "2.png"}, {"image": pool / "b" / "3.png"}])}
    message = (
        "split all: the network learned from 2 of the 5 images without their labels: 2.png, 3.png; evaluate it on "
        "other images, or set allow_trained_images: true, which the report will say"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        load_evaluation_split(pool, NAMES, "all", learned)
    assert len(load_evaluation_split(pool, NAMES, "all", learned, allow_trained_images=True)) == 5
    assert len(load_evaluation_split(pool, NAMES, "all", images)) == 5


def test_images_with_and_without_labels_are_told_apart_in_one_message(data, images, pool):
    shutil.copy(load_split(data, NAMES, "training")[0]["image"], pool / "a" / "again.png")
    message = (
        "network was trained on 1 of the 6 images: again.png; it learned from 1 of the 6 images without their labels: "
        "3.png; evaluate it on"
    )
    with pytest.raises(ValueError, match=message):
        load_evaluation_split(pool, NAMES, "all", images | {"unlabeled": digests([{"image": pool / "b" / "3.png"}])})


def test_images_that_a_network_had_learned_from_that_the_training_started_from_are_refused_too(images, pool):
    earlier = digests([{"image": pool / "a" / "4.png"}])
    message = "the network started from one that had learned from 1 of the 5 images: 4.png; evaluate it on"
    with pytest.raises(ValueError, match=message):
        load_evaluation_split(pool, NAMES, "all", images | {"earlier": earlier})


@pytest.mark.parametrize("split", ["training", "validation"])
def test_images_of_the_training_are_evaluated_whatever_it_learned_from_besides(data, images, pool, split):
    unlabeled = digests({"image": image} for image in pool.glob("*/*"))
    assert digests(load_evaluation_split(data, NAMES, split, images | {"unlabeled": unlabeled})) == images[split]


def test_a_network_whose_images_without_labels_are_not_listed_is_evaluated_with_a_warning(images, pool, caplog):
    assert len(load_evaluation_split(pool, NAMES, "all", images | {"unlabeled": None})) == 5
    assert "it is unknown whether they are among the 5 images" in caplog.text
    caplog.clear()
    load_evaluation_split(pool, NAMES, "all", images | {"unlabeled": None}, allow_trained_images=True)
    assert not caplog.text, "the report says it"


def test_images_that_are_gone_are_counted_and_none_is_an_error(data, images, caplog):
    gone = min(images["validation"])
    for item in load_split(data, NAMES, "all"):
        if digest_of(item["image"]) == gone:
            Path(item["image"]).unlink()
    count = len(images["validation"])
    assert len(load_evaluation_split(data, NAMES, "validation", images)) == count - 1
    assert f"{count - 1} of the {count} validation images of the training are there" in caplog.text
    with pytest.raises(ValueError, match="none of the 1 validation images of the training is there"):
        load_evaluation_split(data, NAMES, "validation", images | {"validation": {"00"}})


def test_for_a_network_of_unknown_images_the_splits_are_those_of_a_training(data):
    for split in ("validation", "all"):
        expected = load_split(data, NAMES, split, seed=3)
        assert load_evaluation_split(data, NAMES, split, {}, seed=3) == expected


def test_a_series_is_the_same_under_other_names_of_its_files(tmp_path):
    for folder, names in (("one", "abc"), ("other", "cab")):
        (tmp_path / folder).mkdir()
        for value, name in enumerate(names):
            (tmp_path / folder / f"{name}.dcm").write_text(str(value))
    assert digest_of(tmp_path / "one") == digest_of(tmp_path / "other")
    (tmp_path / "other" / "c.dcm").write_text("9")
    assert digest_of(tmp_path / "one") != digest_of(tmp_path / "other")


@pytest.mark.parametrize(
    ("split", "others", "allowed", "expected"),
    [
        ("training", {}, False, True),
        ("test", {}, False, False),
        ("test", {"unlabeled": ["c"], "earlier": ["d"]}, False, False),
        ("all", {"unlabeled": ["c"]}, True, True),
        ("all", {"training": []}, False, None),
        ("test", {"unlabeled": None}, False, None),
        ("test", {"earlier": None}, True, True),
        ("validation", {"earlier": ["d"]}, False, False),
        ("validation", {"earlier": ["b", "d"]}, False, True),
        ("validation", {"earlier": None}, False, None),
    ],
)
def test_whether_images_may_have_been_trained_on(split, others, allowed, expected):
    images = {"training": ["a"], "validation": ["b"], "unlabeled": [], "earlier": []}
    assert has_trained_images(split, images | others, allowed) is expected


@pytest.mark.parametrize("split", ["validation", "all"])
def test_images_that_the_other_network_learned_from_are_refused_too(data, images, pool, split):
    source, count = (data, len(images["validation"])) if split == "validation" else (pool, 5)
    chosen = load_evaluation_split(source, NAMES, split, images)
    others = {"training": digests(chosen[:2]), "validation": digests(chosen[2:3])}
    message = rf"split {split}: the other network was trained on 2 of the {count} images: \d+.png, \d+.png; evaluate it"
    with pytest.raises(ValueError, match=message):
        load_evaluation_split(source, NAMES, split, images, others=others)
    allowed = load_evaluation_split(source, NAMES, split, images, allow_trained_images=True, others=others)
    assert allowed == chosen
    unknown = load_evaluation_split(source, NAMES, split, images, others={"training": []})
    assert unknown == chosen, "nobody knows what it learned from, which the report says"


def test_another_network_whose_images_are_not_all_listed_is_warned_of(images, pool, caplog):
    others = {"training": {"00"}, "validation": set(), "unlabeled": None}
    assert len(load_evaluation_split(pool, NAMES, "all", images, others=others)) == 5
    assert "split all: the other network learned from images that its settings do not list" in caplog.text
