from __future__ import annotations

import csv
import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import pytest

from dwskd_monai.data.refused import RefusedImages, RefusedImagesError, require_images
from dwskd_monai.reading.refusal import ASIDE, RefusedImage

NAMES = ["b.png", "a.png", "c, d\n.png"]


def refuse(refused: RefusedImages, ranks: list[int]) -> None:
    for rank in ranks:
        path = f"{rank:04d}.png"
        refused.add(RefusedImage(path, "cut off " * 20, "damaged"), {"image": path}, rank)


def test_the_file_has_the_images_in_the_order_of_the_datalist_then_what_was_set_aside(tmp_path):
    refused = RefusedImages(tmp_path / "out" / "refused.csv")
    refused.list_others([RefusedImage("notes.txt", "document (.txt)", ASIDE)])
    for rank in (2, 0, 1):
        error = RefusedImage(NAMES[rank], "it is empty; copy it", "damaged", series="1.2", instance="1.2.3")
        refused.add(error, {"image": NAMES[rank]}, rank)
    assert refused.count() == 3
    with pytest.raises(RefusedImagesError, match=r"3 images were refused \(3 damaged\), all others were used; .*csv"):
        refused.finish()
    with (tmp_path / "out" / "refused.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [*NAMES, "notes.txt"]
    assert rows[0] == {
        "path": "b.png", "reason": "it is empty; copy it", "kind": "damaged", "series": "1.2", "instance": "1.2.3"
    }  # fmt: skip
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["refused.csv"]


def test_what_was_set_aside_is_no_error(tmp_path, caplog):
    refused = RefusedImages(tmp_path / "refused.csv", strict=True)
    refused.list_others([RefusedImage(name, "document (.txt)", ASIDE) for name in ("a.txt", "b.txt")])
    refused.finish()
    assert "2 files are not images of this run: document (.txt) (2); see" in caplog.text
    assert (tmp_path / "refused.csv").is_file()


def test_nothing_refused_leaves_no_file(tmp_path):
    RefusedImages(tmp_path / "refused.csv").finish()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("add", ["image", "file"])
def test_a_strict_list_raises_the_first(tmp_path, add):
    refused = RefusedImages(tmp_path / "refused.csv", strict=True)
    error = RefusedImage("a.mha", "a file called .mha", "format")
    with pytest.raises(RefusedImage, match="a.mha: a file called .mha"):
        if add == "image":
            refused.add(error, {"image": "a.mha"}, 0)
        else:
            refused.list_others([error])


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_processes_add_to_one_list(tmp_path, method):
    refused = RefusedImages(tmp_path / "refused.csv")
    context = multiprocessing.get_context(method)
    count = 4 if method == "fork" else 2  # each that is spawned imports torch
    processes = [context.Process(target=refuse, args=(refused, list(range(n, 200, count)))) for n in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [row["path"] for row in refused.rows()] == [f"{rank:04d}.png" for rank in range(200)]


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (FileNotFoundError("a.png: there is no such image"), "missing", "there is no such image"),
        (ValueError("a.png: expected (C, D, H, W)"), "content", "expected (C, D, H, W)"),
        (PermissionError("no permission"), "missing", "no permission"),
    ],
)
def test_what_others_raise_over_an_image_is_a_refusal_too(tmp_path, error, kind, reason):
    refused = RefusedImages(tmp_path / "refused.csv")
    refused.add(error, {"image": "a.png"}, 0)
    (row,) = refused.rows()
    assert (row["path"], row["kind"], row["reason"]) == ("a.png", kind, reason)


class Split:
    def __init__(self, refused_count: int, labels: Sequence[int] = (0, 1)) -> None:
        self.refused_count = refused_count
        self._labels = labels

    def contents(self) -> list[tuple[str, int]]:
        return [("digest", label) for label in self._labels]


def test_a_training_stops_over_the_images_of_both_splits_or_goes_on_and_says_so(tmp_path, caplog):
    refused = RefusedImages(tmp_path / "refused.csv")
    require_images([Split(0), Split(0)], refused, ["a", "b"])
    refuse(refused, [0, 1])
    refuse(refused, [0])  # of the other split
    with pytest.raises(ValueError, match=r"(?s)3 images cannot be used:.*0000.png.*0001.png.*--skip_refused true"):
        require_images([Split(2), Split(1)], refused, ["a", "b"])
    assert (tmp_path / "refused.csv").is_file()
    refuse(refused, [5])
    require_images([Split(0), Split(1)], refused, ["a", "b"], skip_refused=True)
    assert "training without 1 image that cannot be used" in caplog.text
    assert Path(tmp_path / "refused.csv").read_text().count("png") == 1


def test_a_file_of_a_folder_that_cannot_be_read_stops_a_training_too(tmp_path):
    refused = RefusedImages(tmp_path / "refused.csv")
    refused.list_others([RefusedImage("a.mha", "a file called .mha", "format")])
    with pytest.raises(ValueError, match=r"(?s)1 image cannot be used:.*a.mha: a file called .mha"):
        require_images([Split(0), Split(0)], refused, ["a", "b"])


def test_a_class_that_loses_all_its_training_images_is_an_error_even_if_images_are_skipped(tmp_path):
    refused = RefusedImages(tmp_path / "refused.csv")
    refuse(refused, [0])
    with pytest.raises(ValueError, match="no training image of class b can be used"):
        require_images([Split(1, labels=(0, 0)), Split(0)], refused, ["a", "b"], skip_refused=True)


def test_a_list_that_is_only_made_touches_no_file_and_one_that_begins_forgets_the_last_run(tmp_path):
    partial = tmp_path / "refused.partial.csv"
    partial.write_text("0,a.png,of an interrupted run,damaged,,\n")
    refused = RefusedImages(tmp_path / "refused.csv")
    assert partial.exists()
    refused.begin()
    assert not partial.exists()
    refuse(refused, [1])
    refused.begin()
    assert refused.count() == 1
