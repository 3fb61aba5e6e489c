"""Files of datalists as other programs write them."""

from __future__ import annotations

import codecs
import json
import logging
from pathlib import Path

import pytest

from dwskd_monai.data.datalist import load_split
from dwskd_monai.data.images import list_images

NAMES = ("cat", "dog")
TEXT = "image,label,patient\nä.png,cat,Ä1\nb.png,dog,B2\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ä.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    return tmp_path


def write_json(folder: Path, content: object) -> Path:
    path = folder / "list.json"
    path.write_text(json.dumps(content))
    return path


def names(items) -> list[str]:
    return [Path(item["image"]).name for item in items]


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_datalist_may_be_in_each_encoding_that_says_what_it_is(folder, mark, encoding, suffix):
    rows = [{"image": "ä.png", "label": "cat", "patient": "Ä1"}, {"image": "b.png", "label": "dog", "patient": "B2"}]
    text = TEXT if suffix == ".csv" else json.dumps({"training": rows}, ensure_ascii=False)
    path = folder / f"list{suffix}"
    path.write_bytes(mark + text.encode(encoding))
    items = load_split(path, NAMES, "all")
    assert [(Path(item["image"]).name, item["patient"]) for item in items] == [("ä.png", "Ä1"), ("b.png", "B2")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.encode("cp1252"), r"line 2: byte 0xe4 is not UTF-8; save the file as UTF-8 \(in Excel: CSV UTF-8\)"),
        (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le")[:-1], "line 3: byte 0x0a is not UTF-16"),
        (TEXT.replace("ä", "a").replace("Ä", "A").encode("utf-16-le"), "line 1: a zero byte, which a text never has"),
        (b'image,label\n"' + b"x" * 200_000, "not CSV"),
        (b"image;label\nb.png;cat\n", "got 'image;label': separate columns by commas"),
        (b"image,label\nb.png,cat,P1\nc.png,dog,P2\n", "2 rows are wrong:(\n|.)*line 3: 3 cells, 2 columns; put text"),
    ],
)
def test_what_is_wrong_with_a_csv_file_is_named(folder, content, message):
    (folder / "list.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"list.csv: (\n|.)*{message}"):
        load_split(folder / "list.csv", NAMES, "all")


def test_rows_that_are_wrong_are_named_together(folder):
    rows = ["b.png,fish,", "x.png,cat,", "c.png,dog,holdout", ",cat,", "b.png,,", "c.png,cat,train", ",,", "y.png,dog,"]
    (folder / "list.csv").write_text("\n".join(["image,label,split", *rows]))
    with pytest.raises(ValueError, match="list.csv: 6 rows are wrong") as caught:
        load_split(folder / "list.csv", NAMES, "training")
    lines = str(caught.value).splitlines()[1:]
    expected = [
        "2: unknown label 'fish'",
        "3: image",
        "4: unknown split 'holdout'",
        "5: no image",
        "6: no label",
        "9: image",
    ]
    assert len(lines) == len(expected)
    for line, part in zip(lines, expected):
        assert f"list.csv: line {part}" in line


def test_of_many_missing_images_the_first_are_named_and_the_others_counted(folder):
    (folder / "list.csv").write_text("image,label\n" + "".join(f"{number}.jpg,cat\n" for number in range(50)))
    with pytest.raises(FileNotFoundError, match="list.csv: 50 rows are wrong") as caught:
        load_split(folder / "list.csv", NAMES, "training")
    assert "19.jpg does not exist" in str(caught.value)
    assert "20.jpg" not in str(caught.value)
    assert str(caught.value).endswith("\n- and 30 more")


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "N/A", "unknown", "-"])
def test_a_word_for_no_value_is_no_patient_and_no_study_and_that_is_said(folder, caplog, word):
    (folder / "list.csv").write_text(f"image,label,patient,study\nb.png,cat,{word},{word}\nc.png,dog,{word},{word}\n")
    items = load_split(folder / "list.csv", NAMES, "all")
    assert ["patient" in item for item in items] == [False, False]
    assert [item["study"] for item in items] == [str(folder / "b.png"), str(folder / "c.png")]
    assert f"list.csv: a patient that is called {word} is taken as unknown" in caplog.text
    assert f"list.csv: a study that is called {word} is taken as unknown" in caplog.text


def test_in_json_nan_is_no_patient_and_0_is_one(folder, caplog):
    items = [{"image": "b.png", "label": 0, "patient": float("nan")}, {"image": "c.png", "label": 1, "patient": 0}]
    items = load_split(write_json(folder, {"training": items}), NAMES, "all")
    assert [item.get("patient") for item in items] == [None, "0"]
    assert "a patient that is called nan is taken as unknown" in caplog.text


def test_images_that_the_decathlon_lists_by_name_alone_are_read_and_have_no_label(folder, caplog):
    caplog.set_level(logging.INFO)
    items = [{"image": name, "label": label} for name, label in (("ä.png", 0), ("b.png", 1))]
    path = write_json(folder, {"name": "x", "labels": {"0": "cat"}, "numTest": 1, "training": items, "test": ["c.png"]})
    assert names(load_split(path, NAMES, "all")) == ["ä.png", "b.png"]
    assert "list.json: 1 test images have no label and are left out" in caplog.text
    assert names(list_images(path)) == ["ä.png", "b.png", "c.png"]
    with pytest.raises(ValueError, match="has no test split"):
        load_split(path, NAMES, "test")


ITEM = {"image": "b.png", "label": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps({"training": [ITEM], "holdout": [ITEM]}), "unknown list 'holdout' of images; expected training"),
        (json.dumps({"training": [ITEM], "imagesTs": ["c.png"]}), "unknown list 'imagesTs' of images"),
        (
            json.dumps({"training": [ITEM], "test": [], "testing": [ITEM]}),
            r"several lists of test images \(training, te",
        ),
        (json.dumps({"training": {"0": ITEM}}), "training: expected a list of objects with image and label"),
        ('{"training": [], "training": []}', "training occurs twice in one object"),
        (
            json.dumps({"training": [ITEM | {"image": ["b.png", "c.png"]}]}),
            r"training\[0\]: image \['b.png', 'c.png'\]; ",
        ),
        (
            json.dumps({"training": ["b.png", ITEM, 3]}),
            r"2 rows are wrong:(\n|.)*training\[0\](\n|.)*training\[2\]: exp",
        ),
        (json.dumps({"training": [ITEM | {"split": "val"}]}), "split 'val' in the list of training images"),
    ],
)
def test_what_is_wrong_with_a_json_file_is_named(folder, text, message):
    (folder / "list.json").write_text(text)
    with pytest.raises(ValueError, match=f"list.json: (\n|.)*{message}"):
        load_split(folder / "list.json", NAMES, "all")


def test_names_of_lists_may_have_capitals(folder):
    path = write_json(folder, {"Training": [ITEM], "Validation": [ITEM | {"image": "c.png", "label": 1}]})
    assert [item["label"] for item in load_split(path, ("cat", "dog"), "all")] == [0, 1]
    assert names(list_images(path)) == ["b.png", "c.png"]
