"""Images that must stay together: copies, DICOM studies and series without a patient, folders, folds that are named."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dwskd_monai.data.copies import copies
from dwskd_monai.data.datalist import load_split, named_folds
from dwskd_monai.data.phantoms.writing import write_series

NAMES = ("cat", "dog")


def write_images(folder: Path, names: Sequence[str]) -> Path:
    """Files with different contents."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def parts_of_folds(source: Path, folds: int = 5, **options) -> list[list[set[str]]]:
    """Paths of the training and of the validation images of each fold."""
    return [
        [
            {item["image"] for item in load_split(source, NAMES, split, folds=folds, fold=fold, **options)}
            for split in ("training", "validation")
        ]
        for fold in range(folds)
    ]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_images(tmp_path, [f"{name}/{number:02}.png" for name in NAMES for number in range(10)])


def test_a_copy_stays_with_its_original_and_both_are_named(pictures, caplog):
    for number in range(5):
        shutil.copy(pictures / "cat" / f"{number:02}.png", pictures / "cat" / f"copy{number}.png")
    for parts in parts_of_folds(pictures):
        for number in range(5):
            pair = {str(pictures / "cat" / f"{number:02}.png"), str(pictures / "cat" / f"copy{number}.png")}
            assert [len(pair & part) for part in parts] in ([2, 0], [0, 2])
        assert sum(map(len, parts)) == 25
    assert (
        "5 images are copies of others, and stay with them: cat/copy0.png of cat/00.png, cat/copy1.png of"
        in caplog.text
    )


def test_without_copies_folds_are_those_that_they_were(pictures):
    """Kept on 2026-11-26, before copies were looked for."""
    _, validation = parts_of_folds(pictures)[0]
    assert sorted(Path(path).relative_to(pictures).as_posix() for path in validation) == [
        "cat/00.png", "cat/08.png", "dog/03.png", "dog/04.png",
    ]  # fmt: skip


def test_one_content_with_two_labels_or_in_two_splits_is_refused_with_the_pairs(tmp_path):
    names = [f"{split}/{name}/{number}.png" for split in ("train", "val") for name in NAMES for number in "012"]
    write_images(tmp_path, names)
    shutil.copy(tmp_path / "train/cat/0.png", tmp_path / "train/dog/x.png")
    with pytest.raises(
        ValueError,
        match=r"same content with two labels: train/cat/0.png \(cat\) and train/dog/x.png \(dog\); remove one of each",
    ):
        load_split(tmp_path, NAMES, "training")
    (tmp_path / "train/dog/x.png").rename(tmp_path / "val/cat/x.png")
    shutil.copy(tmp_path / "train/dog/0.png", tmp_path / "val/dog/y.png")
    with pytest.raises(
        ValueError,
        match=r"in two splits: train/cat/0.png \(training\) and val/cat/x.png \(validation\), train/dog/0.png \(train",
    ):
        load_split(tmp_path, NAMES, "training")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a.png,cat,train", "a.png,dog,train"], r"two labels: a.png \(cat\) and a.png \(dog\)"),
        (["a.png,cat,train", "./a.png,cat,test"], r"two splits: a.png \(training\) and a.png \(test\)"),
        (["a.png,cat,train", "link.png,cat,val"], r"two splits: a.png \(training\) and link.png \(validation\)"),
    ],
)
def test_one_file_that_is_listed_twice_is_refused(tmp_path, rows, message):
    write_images(tmp_path, ["a.png"])
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("\n".join(["image,label,split", *rows]))
    with pytest.raises(ValueError, match=message):
        load_split(tmp_path / "list.csv", NAMES, "all")


def test_copies_are_found_and_other_files_of_their_size_are_not_read_as_a_whole(tmp_path, monkeypatch):
    content = np.random.default_rng(0).bytes(20_000)
    contents = [content, b"x" + content[1:], content[:-1] + b"x", content, b"", b"", content[:10_000]]
    paths = [tmp_path / f"{number}.png" for number in range(len(contents))]
    for path, one in zip(paths, contents):
        path.write_bytes(one)
    read: list[Path] = []
    whole = copies.__globals__["digest_of"]
    monkeypatch.setattr("dwskd_monai.data.copies.digest_of", lambda path: read.append(path) or whole(path))
    assert copies(paths) == {0: 0, 3: 0}
    assert read == [paths[0], paths[2], paths[3]]
    paths[3].unlink()
    assert copies(paths) == {}, "a file that cannot be read is not a copy"


def write_scan(folder: Path, study: str, series: str, patient: str, value: float) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_series(np.full((4, 5, 2), value), np.diag([1.0, 1.0, 2.0, 1.0]), folder, patient, "CT")
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID = study
        dataset.SeriesInstanceUID = series
        dataset.save_as(path)


@pytest.mark.slow
@pytest.mark.parametrize("shared", ["study", "series"])
def test_dicom_files_without_a_patient_stay_with_those_of_their_study_or_series(tmp_path, shared):
    for number in range(20):
        group = f"1.2.{number // 2}"
        own = f"1.3.{number}"
        study, series = (group, own) if shared == "study" else (own, group)
        write_scan(tmp_path / NAMES[number // 2 % 2] / f"{number:02}", study, series, "", number)
    for parts in parts_of_folds(tmp_path):
        numbers = [{int(Path(path).name) // 2 for path in part} for part in parts]
        assert not numbers[0] & numbers[1]
        assert sum(map(len, parts)) == 20
    apart = parts_of_folds(tmp_path, dicom_patients=False)
    assert any({int(Path(p).name) // 2 for p in one} & {int(Path(p).name) // 2 for p in two} for one, two in apart)


def test_a_dicom_study_without_a_patient_in_two_splits_is_named(tmp_path):
    for value, split in enumerate(("train", "test")):
        for number, name in enumerate(NAMES):
            study = "1.2.7" if name == "cat" else f"1.2.{value}"
            write_scan(tmp_path / split / name / "scan", study, f"1.3.1{value}{number}", "", 2 * value + number)
    with pytest.raises(
        ValueError,
        match=r"1 DICOM studies or series are in more than one split: DICOM study 1.2.7: test/cat/scan",
    ):
        load_split(tmp_path, NAMES, "training")


def test_folders_below_those_of_the_classes_are_patients_and_that_is_said(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    names = [f"{NAMES[number // 4 % 2]}/P{number // 4:02}/{number}.png" for number in range(80)]
    write_images(tmp_path, names)
    for parts in parts_of_folds(tmp_path):
        folders = [{Path(path).parent.name for path in part} for part in parts]
        assert not folders[0] & folders[1]
    assert load_split(tmp_path, NAMES, "all")[0]["patient"] == "P00"
    assert "20 folders below those of the classes are taken as patients (P00, P01, " in caplog.text
    caplog.clear()
    apart = parts_of_folds(tmp_path, folder_patients=False)
    assert any({Path(p).parent.name for p in one} & {Path(p).parent.name for p in two} for one, two in apart)
    assert "patient" not in load_split(tmp_path, NAMES, "all", folder_patients=False)[0]
    assert "folders below" not in caplog.text


def test_folders_that_are_no_patients_are_a_reason_to_refuse_that_names_the_setting(tmp_path):
    write_images(tmp_path, [f"{name}/images/{number}.png" for name in NAMES for number in range(9)])
    with pytest.raises(ValueError, match="only 1 patients, too few for 5 folds(.|\n)*set folder_patients to false"):
        load_split(tmp_path, NAMES, "training")
    assert len(load_split(tmp_path, NAMES, "all", folder_patients=False)) == 18
    write_images(tmp_path / "both", [f"{split}/{name}/P1/{split}.png" for split in ("train", "test") for name in NAMES])
    with pytest.raises(ValueError, match="1 patients are in more than one split: P1;(.|\n)*folder_patients to false"):
        load_split(tmp_path / "both", NAMES, "training")


def test_a_header_that_cannot_be_read_is_left_to_reading_which_lists_it(tmp_path):
    write_images(tmp_path, [f"{name}/{number}.png" for name in NAMES for number in range(6)])
    write_series(np.zeros((4, 4, 2)), np.eye(4), tmp_path / "cat" / "series", "P1", "CT")
    first = min((tmp_path / "cat" / "series").iterdir())
    first.write_bytes(first.read_bytes()[:160] + b"\xff" * 80)
    assert len(load_split(tmp_path, NAMES, "all")) == 13


def test_the_patient_of_a_header_comes_before_that_of_a_folder(tmp_path):
    for number in range(4):
        write_scan(tmp_path / NAMES[number % 2] / "folder" / str(number), f"1.2.{number}", "1.3", f"H{number}", number)
    assert {item["patient"] for item in load_split(tmp_path, NAMES, "all")} == {"H0", "H1", "H2", "H3"}
    unknown = load_split(tmp_path, NAMES, "all", dicom_patients=False)
    assert {item["patient"] for item in unknown} == {"folder"}


def fold_rows(count: int = 12) -> list[dict[str, object]]:
    """Three folds with images of each class, as MONAI's Auto3DSeg names them."""
    return [{"image": f"{n}.png", "label": NAMES[n // 3 % 2], "fold": n % 3} for n in range(count)]


def write_json(folder: Path, content: dict[str, list]) -> Path:
    write_images(folder, [item["image"] for items in content.values() for item in items])
    path = folder / "list.json"
    path.write_text(json.dumps(content))
    return path


def test_folds_that_a_datalist_names_are_those_that_are_taken(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    test = [{"image": "t.png", "label": "cat", "fold": 0}]
    path = write_json(tmp_path, {"training": fold_rows(), "testing": test})
    assert named_folds(path, NAMES) == {0: 4, 1: 4, 2: 4}
    for fold in range(3):
        validation = load_split(path, NAMES, "validation", fold=fold, folds=2)  # as said, not used
        assert [int(Path(item["image"]).stem) for item in validation] == list(range(fold, 12, 3))
        training = load_split(path, NAMES, "training", fold=fold)
        assert [int(Path(item["image"]).stem) for item in training] == [n for n in range(12) if n % 3 != fold]
    assert len(load_split(path, NAMES, "test")) == 1
    assert "names 3 folds, so the setting folds is not used" in caplog.text
    lines = [f"{row['image']},{row['label']},{row['fold']}.0" for row in fold_rows()]
    (tmp_path / "list.csv").write_text("\n".join(["image,label,Fold", *lines]))
    assert load_split(tmp_path / "list.csv", NAMES, "validation", fold=1) == load_split(
        path, NAMES, "validation", fold=1
    )


def test_an_image_without_a_fold_is_trained_on_in_each_and_that_is_said(tmp_path, caplog):
    path = write_json(tmp_path, {"training": [*fold_rows(), {"image": "x.png", "label": "dog"}]})
    for fold in range(3):
        assert str(tmp_path / "x.png") in {item["image"] for item in load_split(path, NAMES, "training", fold=fold)}
    assert named_folds(path, NAMES) == {0: 4, 1: 4, 2: 4, None: 1}
    assert "1 images have no fold, and are training images in each" in caplog.text


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"fold": 3}, "fold 3: .* names the folds 0, 1, 2; choose one of these"),
        ({"validation": [{"image": "v.png", "label": "cat"}]}, {}, "both validation images and folds of the training"),
        ({"training": [{"image": "v.png", "label": "cat", "fold": "train"}]}, {}, "fold 'train'; expected the number"),
        ({"training": [row | {"patient": "P"} for row in fold_rows()]}, {}, "1 patients are in more than one split: P"),
        ({"training": [row | {"fold": 0} for row in fold_rows()]}, {}, "no training image of class cat, dog"),
    ],
)
def test_folds_that_cannot_be_taken_are_named(tmp_path, change, options, message):
    path = write_json(tmp_path, {"training": fold_rows()} | change)
    with pytest.raises(ValueError, match=message):
        load_split(path, NAMES, "training", **options)


def test_a_copy_takes_all_images_of_its_patient_along(tmp_path):
    rows = [f"{number}.png,{NAMES[number // 4 % 2]},P{number // 4}" for number in range(48)]
    write_images(tmp_path, [row.split(",")[0] for row in rows])
    (tmp_path / "list.csv").write_text("\n".join(["image,label,patient", *rows]))
    before = parts_of_folds(tmp_path / "list.csv")
    shutil.copy(tmp_path / "0.png", tmp_path / "8.png")  # the first image of P0, and of P2
    after = parts_of_folds(tmp_path / "list.csv")
    moved = {str(tmp_path / f"{number}.png") for number in range(8, 12)}
    first = {str(tmp_path / f"{number}.png") for number in range(4)}
    for (old_training, old_validation), (training, validation) in zip(before, after):
        assert first | moved <= training or first | moved <= validation
        assert (training - moved, validation - moved) == (old_training - moved, old_validation - moved)
