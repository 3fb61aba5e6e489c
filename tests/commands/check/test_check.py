"""The command ``check``: what it finds in images where it was put, its exit codes, and what it writes."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from dwskd_monai.cli import main
from dwskd_monai.data.phantoms import make_phantoms
from dwskd_monai.preprocessing import LoadSlicesd
from dwskd_monai.reading import read_image
from tests.conftest import BUNDLE

NAMES = ("covid19", "no_findings", "pneumonia")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Phantoms in a folder for each class, as PNG of one size."""
    source = tmp_path_factory.mktemp("phantoms")
    make_phantoms("chest_xray", source, count=90)
    folder = tmp_path_factory.mktemp("images")
    with (source / "datalist.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        target = folder / row["label"] / f"{Path(row['image']).stem}.png"
        target.parent.mkdir(exist_ok=True)
        pixels = read_image(source / row["image"]).pixels[0]
        gray = (pixels - pixels.min()) * (255 / np.ptp(pixels))
        Image.fromarray(gray.astype(np.uint8)).resize((128, 128)).save(target)
    return folder


@pytest.fixture
def data(images, tmp_path):
    """A copy to put something wrong into."""
    return Path(shutil.copytree(images, tmp_path / "data"))


def files(folder: Path, name: str) -> list[Path]:
    return sorted((folder / name).iterdir())


def exit_code(data: Path, tmp_path: Path, *more: str) -> int:
    command = ["check", str(BUNDLE), "--dataset_dir", str(data), "--out", str(tmp_path / "out")]
    try:
        main([*command, "--cache_dir", str(tmp_path / "cache"), "--num_workers", "0", *more])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def check(data: Path, tmp_path: Path, *more: str) -> tuple[int, dict]:
    """The exit code, and the content of check.json."""
    code = exit_code(data, tmp_path, *more)
    content = json.loads((tmp_path / "out" / "check.json").read_text())
    assert content["exit_code"] == code
    return code, content


def of_kind(content: dict, kind: str, level: str | None = None) -> list[dict]:
    return [one for one in content["findings"] if one["kind"] == kind and level in (None, one["level"])]


@pytest.mark.slow
def test_images_without_a_fault_have_exit_code_0(data, tmp_path, capsys):
    code, content = check(data, tmp_path)
    assert code == 0, content["findings"]
    assert content["counts"]["split"]["training"].keys() == set(NAMES)
    assert sum(sum(row.values()) for row in content["counts"]["split"].values()) == len(list(data.rglob("*.png")))
    assert content["near_copies"] == content["refused"] == []
    assert f"see {tmp_path / 'out' / 'check.html'}" in capsys.readouterr().out


@pytest.mark.slow
def test_images_that_cannot_be_used_are_errors_and_all_are_listed(data, tmp_path):
    first, second, *_ = files(data, "pneumonia")
    first.write_bytes(first.read_bytes()[:300])
    Image.new("L", (64, 64), 7).save(second)
    (data / "pneumonia" / "notes.txt").write_text("x")
    code, content = check(data, tmp_path)
    assert code == 2
    (finding,) = of_kind(content, "refused images", "error")
    assert finding["message"].startswith("2 images (1 damaged, 1 content) cannot be used")
    assert {Path(line.split(": ")[0]) for line in finding["images"]} == {first, second}
    with (tmp_path / "out" / "refused.csv").open(newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == ["damaged", "content", "aside"]
    assert of_kind(content, "other files", "note")
    code, content = check(data, tmp_path, "--skip_refused", "true")
    assert code == 3
    assert of_kind(content, "refused images", "warning")


@pytest.mark.slow
def test_each_fault_of_a_datalist_is_found_not_only_the_first(data, tmp_path):
    rows = [
        {"image": str(path), "label": name, "split": "training" if number else "test", "patient": f"{name}{number}"}
        for name in NAMES
        for number, path in enumerate(files(data, name))
    ]
    rows[1]["patient"] = rows[0]["patient"]  # in training and test
    shutil.copy(rows[2]["image"], rows[-1]["image"])  # two labels
    with (data / "list.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    code, content = check(data / "list.csv", tmp_path)
    assert code == 2
    messages = [finding["message"] for finding in of_kind(content, "datalist", "error")]
    assert len(messages) == 2
    assert "1 patients are in more than one split: covid190" in messages[0]
    assert "with two labels" in messages[1]


@pytest.mark.slow
def test_copies_that_were_changed_are_found_with_what_is_wrong_with_them(data, tmp_path):
    (data / "test").mkdir()
    for name in NAMES:
        (data / "train" / name).mkdir(parents=True)
        (data / "test" / name).mkdir()
        for number, path in enumerate(files(data, name)):
            path.rename(data / ("test" if number < 5 else "train") / name / path.name)
        (data / name).rmdir()
    tested = files(data / "test", "covid19")[0]
    trained = files(data / "train", "covid19")
    ImageOps.mirror(Image.open(tested)).resize((100, 100)).save(data / "train" / "covid19" / "mirrored.png")
    Image.open(trained[0]).save(data / "train" / "pneumonia" / "other_label.jpg", quality=50)
    Image.open(trained[1]).resize((90, 110)).save(data / "train" / "covid19" / "resized.png")
    code, content = check(data, tmp_path)
    assert code == 3
    found = {(Path(pair["first"]).name, Path(pair["second"]).name): pair for pair in content["near_copies"]}
    found |= {(second, first): pair for (first, second), pair in found.items()}
    assert len(content["near_copies"]) == 3
    assert found["mirrored.png", tested.name]["problem"] == "splits"
    assert found["mirrored.png", tested.name]["change"] == "mirrored"
    assert found["other_label.jpg", trained[0].name]["problem"] == "labels"
    assert found["resized.png", trained[1].name]["problem"] == ""
    assert [finding["level"] for finding in of_kind(content, "near copies")] == ["warning", "warning", "note"]
    page = (tmp_path / "out" / "check.html").read_text()
    assert page.count("data:image/png;base64,") >= 6
    assert "mirrored" in page


@pytest.mark.slow
def test_unlabeled_images_that_show_measured_ones_are_found(data, tmp_path):
    unlabeled = tmp_path / "unlabeled"
    unlabeled.mkdir()
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 255, (64, 64), np.uint8)).resize((128, 128)).save(unlabeled / "new.png")
    (data / "train").mkdir()
    (data / "val").mkdir()
    for name in NAMES:
        shutil.copytree(data / name, data / "train" / name)
        (data / "val" / name).mkdir()
        for path in files(data / "train", name)[:3]:
            path.rename(data / "val" / name / path.name)
        shutil.rmtree(data / name)
    measured = files(data / "val", "pneumonia")[0]
    Image.open(measured).save(unlabeled / "seen.jpg", quality=60)
    (unlabeled / "broken.png").write_bytes(b"no picture")
    code, content = check(data, tmp_path, "--unlabeled_dir", str(unlabeled))
    assert code == 3
    (finding,) = of_kind(content, "near copies", "warning")
    assert "unlabeled images that show a validation or test image" in finding["message"]
    assert len(finding["images"]) == 1
    assert "seen.jpg [unlabeled]" in finding["images"][0]
    (finding,) = of_kind(content, "refused images", "warning")
    assert finding["message"].startswith("1 image (1 format) without a label")
    assert content["counts"]["split"]["unlabeled"]["unlabeled"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("what", ["image size", "borders", "bit depth", "file type"])
def test_what_tells_a_class_without_the_disease_is_found(data, tmp_path, what):
    for number, path in enumerate(files(data, "covid19")):
        picture = Image.open(path)
        if what == "image size":
            picture.resize((128, 140)).save(path)
        elif what == "borders":
            ImageOps.expand(picture.resize((108, 108)), 10, 255).save(path)
        elif what == "bit depth":
            Image.fromarray(np.asarray(picture).astype(np.uint16) * 257 + number).save(path)
        else:
            picture.save(path.with_suffix(".jpg"), quality=95)
            path.unlink()
    code, content = check(data, tmp_path)
    assert code == 3
    suspicious = {(one["what"], one["class_name"]) for one in content["shortcuts"] if one["auc"]["value"] > 0.95}
    assert (what, "covid19") in suspicious
    assert any(finding["message"].startswith(what) for finding in of_kind(content, "shortcut", "warning"))


@pytest.mark.slow
def test_few_patients_say_nothing_about_shortcuts(data, tmp_path):
    for path in files(data, "covid19")[6:]:
        path.unlink()
    _, content = check(data, tmp_path)
    (finding,) = of_kind(content, "shortcut")
    assert finding["level"] == "note"
    assert "covid19: too few (n = 6)" in finding["message"]


@pytest.mark.slow
def test_a_second_check_reads_only_what_is_new(data, tmp_path, monkeypatch):
    _, first = check(data, tmp_path)
    read = []
    load = LoadSlicesd.__call__
    monkeypatch.setattr(LoadSlicesd, "__call__", lambda self, item: read.append(item["image"]) or load(self, item))
    _, second = check(data, tmp_path)
    assert read == []
    assert second == first
    new = files(data, "covid19")[0]
    ImageOps.invert(Image.open(new)).save(new)
    check(data, tmp_path)
    assert read == [str(new)]


@pytest.mark.slow
def test_a_check_that_was_interrupted_keeps_what_it_read(data, tmp_path, monkeypatch):
    read = []
    load = LoadSlicesd.__call__

    def interrupted(self, item):
        if len(read) == 10:
            raise KeyboardInterrupt
        read.append(item["image"])
        return load(self, item)

    with monkeypatch.context() as patch:
        patch.setattr(LoadSlicesd, "__call__", interrupted)
        assert exit_code(data, tmp_path) == 130
    monkeypatch.setattr(LoadSlicesd, "__call__", lambda self, item: read.append(item["image"]) or load(self, item))
    check(data, tmp_path)
    assert sorted(read) == sorted(map(str, data.rglob("*.png")))


def test_a_folder_that_does_not_exist_and_an_unknown_setting(tmp_path, capsys):
    code, content = check(tmp_path / "none", tmp_path)
    assert code == 2
    assert "does not exist" in content["findings"][0]["message"]
    with pytest.raises(SystemExit) as end:
        main(["check", str(BUNDLE), "--dataset_dir", str(tmp_path), "--imagesize", "96"])
    assert end.value.code == 2
    assert "did you mean image_size" in capsys.readouterr().err
