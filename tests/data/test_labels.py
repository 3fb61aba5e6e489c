from __future__ import annotations

import codecs
import json

import pytest

from dwskd_monai.data.datalist import load_split
from dwskd_monai.data.labels import label_index

NAMES = {"0": "cat", "1": "dog"}


@pytest.mark.parametrize(("label", "index"), [("dog", 1), (" cat ", 0), (1, 1), ("0", 0)])
def test_a_label_is_a_name_or_an_index_and_may_stand_in_a_file(tmp_path, label, index):
    assert label_index(label, NAMES, "a.png") == index
    assert label_index(label, list(NAMES.values()), "a.png") == index
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"label": label}))
    assert label_index(str(path), NAMES, "a.png") == index


def test_where_classes_are_called_by_numbers_what_is_written_is_a_name_and_an_index_is_one(tmp_path):
    names = ["1", "2", "3"]
    assert [label_index(label, names, "a.png") for label in ("1", "3")] == [0, 2]
    assert [label_index(label, names, "a.png") for label in (1, 2)] == [1, 2], "numbers of a program"
    (tmp_path / "a.json").write_text('{"label": 1}')
    assert label_index(str(tmp_path / "a.json"), names, "a.png") == 0
    with pytest.raises(ValueError, match="unknown label '0'; expected one of 1, 2, 3, which are names of classes"):
        label_index("0", names, "a.png")
    with pytest.raises(ValueError, match="unknown label '3'; expected one of 1, 2, 3 or 0 to 2"):
        label_index(3, names, "a.png")


def test_folders_that_are_called_by_numbers_keep_their_labels(tmp_path):
    names = ("1", "2")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").touch()
    items = load_split(tmp_path, names, "all")
    assert [label_index(item["label"], names, "x.png") for item in items] == [0, 1], "as a dataset takes them"
    (tmp_path / "list.csv").write_text("image,label\n1/x.png,1\n2/x.png,2\n")
    assert [item["label"] for item in load_split(tmp_path / "list.csv", names, "all")] == [0, 1]
    (tmp_path / "list.csv").write_text("image,label\n1/x.png,0\n2/x.png,1\n")
    with pytest.raises(ValueError, match="line 2: unknown label '0'; expected one of 1, 2, which are names"):
        load_split(tmp_path / "list.csv", names, "all")


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_a_label_file_may_begin_with_a_mark(tmp_path, mark):
    encoding = "utf-8" if mark == codecs.BOM_UTF8 else "utf-16-le"
    (tmp_path / "a.json").write_bytes(mark + '{"label": "dog"}'.encode(encoding))
    assert label_index(str(tmp_path / "a.json"), NAMES, "a.png") == 1


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("fish", "a.png: unknown label 'fish'; expected one of cat, dog or 0 to 1"),
        (2, "a.png: unknown label '2'"),
        (-1, "a.png: unknown label '-1'"),
        (None, "a.png: no label"),
    ],
)
def test_what_is_no_label_is_named(label, message):
    with pytest.raises(ValueError, match=message):
        label_index(label, NAMES, "a.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"label": "fish"}', "a.json: unknown label 'fish'"),
        ('{"class": "cat"}', r'a.json: expected \{"label": NAME\}, got \{"class": "cat"\}'),
        ("{", "a.json: a label file that cannot be read"),
        (None, "a.json: a label file that cannot be read"),
    ],
)
def test_what_is_wrong_with_a_label_file_is_named(tmp_path, content, message):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message):
        label_index(str(path), NAMES, "a.png")
