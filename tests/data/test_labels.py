from __future__ import annotations

import json

import pytest

from dwskd_monai.data.labels import label_index

NAMES = {"0": "cat", "1": "dog"}


@pytest.mark.parametrize(("label", "index"), [("dog", 1), (" cat ", 0), (1, 1), ("0", 0)])
def test_a_label_is_a_name_or_an_index_and_may_stand_in_a_file(tmp_path, label, index):
    assert label_index(label, NAMES, "a.png") == index
    assert label_index(label, list(NAMES.values()), "a.png") == index
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"label": label}))
    assert label_index(str(path), NAMES, "a.png") == index


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
