from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dwskd_monai.data.datalist import load_split
from dwskd_monai.data.phantoms.writing import write_series
from dwskd_monai.data.refused import RefusedImages

NAMES = ("cat", "dog")


def make_tree(root: Path, counts: dict[str, int]) -> Path:
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True)
        for index in range(count):
            (root / folder / f"{index:02d}.png").touch()
    return root


def make_csv(root: Path, rows: list[str], header: str = "image,label,patient,split") -> Path:
    for row in rows:
        (root / row.split(",")[0]).touch()
    path = root / "list.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def names(items) -> list[str]:
    return [Path(item["image"]).name for item in items]


def test_folder_without_splits_is_divided_into_stratified_folds(tmp_path):
    make_tree(tmp_path, {"cat": 20, "dog": 10})
    validation = [load_split(tmp_path, NAMES, "validation", folds=5, fold=fold) for fold in range(5)]
    seen = Counter(item["image"] for items in validation for item in items)
    assert len(seen) == 30
    assert set(seen.values()) == {1}
    for fold, items in enumerate(validation):
        assert Counter(item["label"] for item in items) == {0: 4, 1: 2}
        training = load_split(tmp_path, NAMES, "training", folds=5, fold=fold)
        assert not {i["image"] for i in training} & {i["image"] for i in items}
        assert len(training) == 24
    assert load_split(tmp_path, NAMES, "validation", seed=1) != validation[0]
    assert load_split(tmp_path, NAMES, "validation") == validation[0]
    with pytest.raises(ValueError, match="0 <= fold < folds, got folds=5, fold=5"):
        load_split(tmp_path, NAMES, "validation", folds=5, fold=5)


def test_folder_with_splits_is_taken_as_it_is(tmp_path):
    counts = {"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 1, "test/dog": 4}
    make_tree(tmp_path, counts)
    sizes = {split: len(load_split(tmp_path, NAMES, split)) for split in ("training", "validation", "test", "all")}
    assert sizes == {"training": 5, "validation": 2, "test": 4, "all": 11}


def test_a_fold_of_a_source_that_names_its_validation_images_is_refused(tmp_path):
    make_tree(tmp_path, {"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 1})
    with pytest.raises(ValueError, match="fold 1: .* names its validation images and has no folds; leave fold out"):
        load_split(tmp_path, NAMES, "validation", fold=1)


def test_labels_follow_the_order_of_the_class_names_and_the_metadata(tmp_path):
    make_tree(tmp_path, {"cat": 5, "dog": 5})
    items = load_split(tmp_path, {"0": "dog", "1": "cat"}, "all")
    assert {Path(item["image"]).parent.name: item["label"] for item in items} == {"dog": 0, "cat": 1}


def test_patients_stay_together(tmp_path):
    rows = [f"{i}.png,{NAMES[i // 3 % 2]},P{i // 3}," for i in range(60)]
    path = make_csv(tmp_path, rows)
    for fold in range(5):
        parts = [load_split(path, NAMES, split, fold=fold) for split in ("training", "validation")]
        patients = [{item["patient"] for item in part} for part in parts]
        assert not patients[0] & patients[1]
        assert sum(map(len, parts)) == 60
        assert {item["label"] for item in parts[1]} == {0, 1}


def test_csv_with_splits_names_and_indices(tmp_path):
    path = make_csv(tmp_path, ["a.png,cat,P1,train", "b.png,1,P2,Train", "c.png,dog,,val", "d.png,0,,test"])
    assert names(load_split(path, NAMES, "training")) == ["a.png", "b.png"]
    assert [item["label"] for item in load_split(path, NAMES, "training")] == [0, 1]
    assert load_split(path, NAMES, "validation") == [
        {"image": str(tmp_path / "c.png"), "label": 1, "study": str(tmp_path / "c.png")}
    ]
    assert names(load_split(path, NAMES, "test")) == ["d.png"]


def test_json_datalist_of_the_decathlon(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    content = {
        "description": "x",
        "training": [{"image": "a.png", "label": "cat"}, {"image": "b.png", "label": 1, "patient": "P"}],
        "validation": [{"image": "c.png", "label": "dog"}],
    }
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps(content))
    assert names(load_split(path, NAMES, "training")) == ["a.png", "b.png"]
    assert load_split(path, NAMES, "training")[1]["patient"] == "P"
    assert names(load_split(path, NAMES, "validation")) == ["c.png"]


@pytest.mark.parametrize(("fraction", "expected"), [(0.5, {0: 8, 1: 4}), (0.1, {0: 2, 1: 1}), (0.001, {0: 1, 1: 1})])
def test_a_share_of_the_training_images_is_stratified_and_leaves_validation_alone(tmp_path, fraction, expected):
    make_tree(tmp_path, {"cat": 20, "dog": 10})
    part = load_split(tmp_path, NAMES, "training", train_fraction=fraction)
    assert Counter(item["label"] for item in part) == expected
    whole = {item["image"] for item in load_split(tmp_path, NAMES, "training")}
    assert {item["image"] for item in part} <= whole
    assert len(load_split(tmp_path, NAMES, "validation", train_fraction=fraction)) == 6


def test_other_files_are_skipped_and_counted(tmp_path, caplog):
    make_tree(tmp_path, {"cat": 5, "dog": 5})
    (tmp_path / "cat" / "notes.txt").touch()
    (tmp_path / "index.csv").touch()
    (tmp_path / ".cache").mkdir()
    assert len(load_split(tmp_path, NAMES, "all")) == 10
    assert "1 files cannot be read as images and were left out: document (.txt) (1)" in caplog.text


@pytest.mark.parametrize(
    ("counts", "split", "error", "message"),
    [
        ({}, "training", FileNotFoundError, "has no labeled image"),
        ({"cat": 0, "dog": 0}, "training", FileNotFoundError, "has no labeled image"),
        ({"cat": 5, "bird": 5}, "training", ValueError, "class folder bird is not among .* cat, dog"),
        ({"cat": 5, "dog": 0}, "training", ValueError, "no training image of class dog"),
        ({"train/cat": 5, "cat": 5}, "training", ValueError, "folders of splits .* and others"),
        ({"cat": 9, "dog": 3}, "training", ValueError, "class dog has training images of only 3 patients.* 5 folds"),
        ({"cat": 5, "dog": 5}, "test", ValueError, "has no test split"),
        ({"cat": 5, "dog": 5}, "tset", ValueError, "split must be one of training, validation, test, all; got 'tset'"),
    ],
)
def test_wrong_folders_are_named(tmp_path, counts, split, error, message):
    make_tree(tmp_path, counts)
    with pytest.raises(error, match=message):
        load_split(tmp_path, NAMES, split)


def test_a_source_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="dataset_dir: .*nowhere does not exist; give a folder"):
        load_split(tmp_path / "nowhere", NAMES, "training")
    (tmp_path / "list.txt").touch()
    with pytest.raises(ValueError, match=r"expected a folder, a .csv or a .json file, got .*list.txt"):
        load_split(tmp_path / "list.txt", NAMES, "training")


@pytest.mark.parametrize(
    ("rows", "header", "error", "message"),
    [
        (
            ["a.png,fish,,"],
            None,
            ValueError,
            "list.csv: line 2: unknown label 'fish'; expected one of cat, dog or 0 to 1",
        ),
        (["a.png,cat,,", "b.png,,,"], None, ValueError, "line 3: no label"),
        (["a.png,2,,"], None, ValueError, "line 2: unknown label '2'"),
        (["a.png,cat,,holdout"], None, ValueError, "line 2: unknown split 'holdout'"),
        (["a.png,cat"], "patient,label", ValueError, "column image is missing"),
        (["a.png,cat,P1,train", "b.png,dog,P1,test"], None, ValueError, "1 patients are in more than one split: P1"),
    ],
)
def test_wrong_rows_are_named(tmp_path, rows, header, error, message):
    path = make_csv(tmp_path, rows, header or "image,label,patient,split")
    with pytest.raises(error, match=message):
        load_split(path, NAMES, "training")


def test_missing_images_are_named(tmp_path):
    path = make_csv(tmp_path, ["a.png,cat,,"])
    (tmp_path / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"line 2: image .*a.png does not exist"):
        load_split(path, NAMES, "training")
    path.write_text("image,label\n,cat\n")
    with pytest.raises(ValueError, match="line 2: no image"):
        load_split(path, NAMES, "training")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a JSON file"),
        ("[]", "expected an object with a list under training"),
        ('{"training": ["a.png"]}', r"training\[0\]: expected an object with image and label"),
    ],
)
def test_wrong_json_is_named(tmp_path, content, message):
    path = tmp_path / "datalist.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        load_split(path, NAMES, "training")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folds": 1}, "folds >= 2"),
        ({"fold": -1}, "0 <= fold < folds, got folds=5, fold=-1"),
        ({"fold": 5}, "0 <= fold < folds, got folds=5, fold=5"),
        ({"train_fraction": 0.0}, r"train_fraction must be in \(0, 1\]"),
    ],
)
def test_arguments_out_of_range_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        load_split(tmp_path, NAMES, "training", **arguments)


def write_scan(folder: Path, patient: str, pixel: int = 0) -> Path:
    write_series(np.full((4, 5, 3), float(pixel)), np.diag([1.0, 1.0, 2.0, 1.0]), folder, patient, "CT")
    return folder


@pytest.fixture
def scans(tmp_path) -> Path:
    """Five patients of each class, with two series each."""
    for name in NAMES:
        (tmp_path / name).mkdir()
        for patient in range(5):
            for scan in range(2):
                write_scan(tmp_path / name / f"{patient}{scan}", f"{name}{patient}")
    return tmp_path


def test_series_are_studies_and_patients_come_from_their_headers(scans):
    for fold in range(5):
        parts = [load_split(scans, NAMES, split, fold=fold) for split in ("training", "validation")]
        assert [len(part) for part in parts] == [16, 4]
        patients = [{item["patient"] for item in part} for part in parts]
        assert not patients[0] & patients[1]
        assert all(Path(item["image"]).is_dir() for item in parts[0])
    unknown = load_split(scans, NAMES, "all", dicom_patients=False)
    assert "patient" not in unknown[0]
    assert len(load_split(scans, NAMES, "all", dicom_series=False)) == 60


def test_a_dicom_patient_in_two_splits_is_named(tmp_path):
    for split in ("train", "test"):
        for name in NAMES:
            (tmp_path / split / name).mkdir(parents=True)
            patient = "Q1" if name == "cat" else f"{split} dog"
            write_scan(tmp_path / split / name / "scan", patient, pixel=1 if split == "test" else 0)
    with pytest.raises(ValueError, match="1 patients are in more than one split: Q1;.*set dicom_patients to false"):
        load_split(tmp_path, NAMES, "training")
    assert len(load_split(tmp_path, NAMES, "test", dicom_patients=False)) == 2


def test_a_series_may_be_named_in_a_csv(scans):
    (scans / "list.csv").write_text("image,label,patient\ncat/00,cat,P\n")
    (item,) = load_split(scans / "list.csv", NAMES, "all")
    assert item == {"image": str(scans / "cat" / "00"), "label": 0, "study": str(scans / "cat" / "00"), "patient": "P"}


def test_images_of_one_study_stay_together(tmp_path):
    rows = [f"{i}.png,{NAMES[i // 3 % 2]},,S{i // 3}" for i in range(60)]
    path = make_csv(tmp_path, rows, "image,label,patient,study")
    for fold in range(5):
        parts = [load_split(path, NAMES, split, fold=fold) for split in ("training", "validation")]
        studies = [{item["study"] for item in part} for part in parts]
        assert not studies[0] & studies[1]
        assert sum(map(len, parts)) == 60


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a.png,cat,P1,S1,train", "b.png,dog,P1,S1,train"], "study S1 has two labels: 0 .a.png. and 1 .b.png."),
        (["a.png,cat,P1,S1,train", "b.png,cat,P2,S1,train"], "study S1 has two patients: P1 .a.png. and P2 .b.png."),
        (["a.png,cat,,S1,train", "b.png,cat,,S1,test"], "study S1 has two splits: training .a.png. and test .b.png."),
    ],
)
def test_a_divided_study_is_named(tmp_path, rows, message):
    path = make_csv(tmp_path, rows, "image,label,patient,study,split")
    with pytest.raises(ValueError, match=message):
        load_split(path, NAMES, "all")


@pytest.mark.parametrize(
    ("split", "expected"),
    [("test", {"test"}), ("training", {"train"}), ("validation", {"val"}), ("all", {"train", "val", "test"})],
)
def test_files_that_are_not_images_are_listed_for_the_split_that_they_are_in(tmp_path, split, expected):
    make_tree(tmp_path, {f"{folder}/{name}": 2 for folder in ("train", "val", "test") for name in NAMES})
    for folder in ("train", "val", "test"):
        (tmp_path / folder / "cat" / "scan.mha").touch()
    refused = RefusedImages(tmp_path / "refused.csv")
    load_split(tmp_path, NAMES, split, refused=refused)
    assert {Path(row["path"]).parts[-3] for row in refused.rows()} == expected


def test_files_beside_images_that_are_divided_into_folds_count_for_both(tmp_path):
    make_tree(tmp_path, {"train/cat": 5, "train/dog": 5, "test/cat": 1, "test/dog": 1})
    (tmp_path / "train" / "cat" / "scan.mha").touch()
    refused = RefusedImages(tmp_path / "refused.csv")
    load_split(tmp_path, NAMES, "validation", refused=refused)
    assert refused.count() == 1


def test_what_is_to_be_said_of_a_source_is_said_once_in_a_run(tmp_path, caplog):
    rows = [f"{i}.png,{NAMES[i % 2]},,{i % 3},1" for i in range(12)]
    path = make_csv(tmp_path, rows, "image,Label,patient,fold,x_age")
    run, another = (RefusedImages(tmp_path / f"{number}.csv") for number in range(2))
    with caplog.at_level("INFO", "dwskd_monai"):
        first = [load_split(path, NAMES, split, refused=run) for split in ("training", "validation")]
        said = [record.getMessage() for record in caplog.records]
        caplog.clear()
        second = [load_split(path, NAMES, split, refused=another) for split in ("training", "validation")]
    assert len(set(said)) == len(said) == 5
    assert [record.getMessage() for record in caplog.records] == said
    assert first == second
