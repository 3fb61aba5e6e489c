from __future__ import annotations

import json

import pytest

from dwskd_monai.data.class_names import find_class_names


@pytest.mark.parametrize("prefixes", [("",), ("train/", "val/", "test/"), ("Training/",)])
def test_folders_name_the_classes(tmp_path, prefixes):
    for prefix in prefixes:
        for name in ("b", "a", ".hidden"):
            (tmp_path / f"{prefix}{name}").mkdir(parents=True)
    assert find_class_names(tmp_path) == ["a", "b"]


def test_datalists_name_the_classes(tmp_path):
    for name in ("x.png", "y.png", "z.png"):
        (tmp_path / name).touch()
    (tmp_path / "list.csv").write_text("image,label\nx.png,pneumonia\ny.png,normal\nz.png,normal\n")
    assert find_class_names(tmp_path / "list.csv") == ["normal", "pneumonia"]
    items = [{"image": "x.png", "label": "b"}, {"image": "y.png", "label": "a"}]
    (tmp_path / "list.json").write_text(json.dumps({"training": items}))
    assert find_class_names(tmp_path / "list.json") == ["a", "b"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("x.png,a\n", r"names fewer than two classes \(a\); expected one folder or label per class"),
        ("x.png,0\ny.png,1\n", "has numbers as labels; give the names of the classes in order: --classes a,b"),
    ],
)
def test_what_names_no_classes_is_refused(tmp_path, rows, message):
    for name in ("x.png", "y.png"):
        (tmp_path / name).touch()
    (tmp_path / "list.csv").write_text(f"image,label\n{rows}")
    with pytest.raises(ValueError, match=message):
        find_class_names(tmp_path / "list.csv")


def test_another_file_is_refused(tmp_path):
    (tmp_path / "x.txt").touch()
    with pytest.raises(ValueError, match="data: expected a folder, a .csv or a .json file, got"):
        find_class_names(tmp_path / "x.txt")
