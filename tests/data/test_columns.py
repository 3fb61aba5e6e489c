"""Which column is what, and that none is passed over in silence."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from dwskd_monai.data.class_names import find_class_names
from dwskd_monai.data.columns import SUBGROUPS
from dwskd_monai.data.datalist import load_split
from dwskd_monai.data.images import list_images

NAMES = ("cat", "dog")


def write_csv(folder: Path, header: str, rows: list[str]) -> Path:
    for row in rows:
        (folder / row.split(",")[0]).touch()
    path = folder / "list.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def rows_of_patients(count: int = 60) -> list[str]:
    """Three images of each patient."""
    return [f"{number}.png,{NAMES[number // 3 % 2]},P{number // 3}" for number in range(count)]


@pytest.mark.parametrize(
    "header",
    [
        "image,label,patient",
        "image,label,patient_id",
        "Image,Label,PatientID",
        "image ,label,Patient ",
        "path,class,subject",
        "File Name,Target,Subject-ID",
        "filename,category,participant_id",
    ],
)
def test_common_spellings_of_a_column_are_taken_for_it_and_patients_stay_together(tmp_path, caplog, header):
    caplog.set_level(logging.INFO)
    path = write_csv(tmp_path, header, rows_of_patients())
    plain = write_csv(tmp_path, "image,label,patient", rows_of_patients()).rename(tmp_path / "plain.csv")
    path = write_csv(tmp_path, header, rows_of_patients())
    for split in ("training", "validation"):
        assert load_split(path, NAMES, split) == load_split(plain, NAMES, split)
    taken = {name: meant for name, meant in zip(header.split(","), ("image", "label", "patient")) if name != meant}
    for name, meant in taken.items():
        assert f"list.csv: column {name!r} is taken as {meant}" in caplog.text
    assert caplog.text.count("is taken as") == 2 * len(taken)


def test_columns_of_splits_studies_and_folds_are_understood_too(tmp_path):
    path = write_csv(
        tmp_path, "file,label,Set,Accession Number", ["a.png,cat,Train,S1", "b.png,dog,train,S2", "c.png,cat,TEST,S3"]
    )
    assert [item["study"] for item in load_split(path, NAMES, "test")] == ["S3"]
    assert [Path(item["image"]).name for item in list_images(path)] == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("column", ["id", "name", "group", "case", "hospital", "patients name", "pseudonym"])
def test_an_unknown_column_is_refused_wherever_a_datalist_is_read(tmp_path, column):
    path = write_csv(tmp_path, f"image,label,{column}", rows_of_patients(6))
    message = f"list.csv: unknown column '{column}'; expected image, label, patient, study, split, fold. Rename it; or,"
    with pytest.raises(ValueError, match=message):
        load_split(path, NAMES, "all")
    with pytest.raises(ValueError, match=message):
        list_images(path)
    assert find_class_names(path) == ["cat", "dog"], "which no other column can change"


@pytest.mark.parametrize("ignored", [["hospital", "Ward"], "hospital,ward"])
def test_a_column_may_be_declared_or_prefixed_and_is_then_left_aside(tmp_path, caplog, ignored):
    caplog.set_level(logging.INFO)
    rows = [f"{row},H,W,x" for row in rows_of_patients(6)]
    path = write_csv(tmp_path, "image,label,patient,hospital,ward,X_anything", rows)
    assert len(load_split(path, NAMES, "all", ignored_columns=ignored)) == 6
    assert "column 'hospital', 'ward', 'X_anything' is not used" in caplog.text
    assert len(list_images(path, ignored_columns=ignored)) == 6


def test_items_have_the_columns_that_make_subgroups(tmp_path):
    rows = rows_of_patients(3)
    header = "image,label,patient,Sex,AGE,scanner,age"
    path = write_csv(tmp_path, header, [f"{rows[0]},F,45,nan,7", f"{rows[1]},,046Y,A,7", f"{rows[2]},M,,?,7"])
    further = [{key: item[key] for key in item if key in SUBGROUPS} for item in load_split(path, NAMES, "all")]
    assert further == [{"sex": "F", "age": "45"}, {"age": "046Y", "scanner": "A"}, {"sex": "M"}]
    ignored = load_split(path, NAMES, "all", ignored_columns="sex,age,scanner")
    assert all(set(item) == {"image", "label", "study", "patient"} for item in ignored)


def test_numbers_of_rows_and_what_is_never_needed_are_no_reason_to_refuse(tmp_path):
    rows = [f"{row},50,male,trunk" for row in rows_of_patients(6)]
    path = write_csv(tmp_path, "image,label,patient,age,sex,site", rows)
    plain = load_split(path, NAMES, "all")
    lines = path.read_text().splitlines()
    for header in ("", "Unnamed: 0"):
        path.write_text("\n".join([f"{header},{lines[0]}", *(f"{n},{line}" for n, line in enumerate(lines[1:]))]))
        assert load_split(path, NAMES, "all") == plain


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("image,label,patient_id,Subject", "the columns 'patient_id', 'Subject' all mean patient; expected one"),
        ("image,path,label,x_1", "the columns 'image', 'path' all mean image; expected one"),
        ("image,label,label,x_1", "column label occurs twice"),
        ("image,label,Label ,x_1", "the columns 'label', 'Label ' all mean label"),
    ],
)
def test_two_columns_that_mean_the_same_are_refused(tmp_path, header, message):
    path = write_csv(tmp_path, header, ["a.png,cat,P1,P1"])
    with pytest.raises(ValueError, match=message):
        load_split(path, NAMES, "all")


def test_keys_of_a_json_datalist_are_columns(tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.png").touch()
    items = [
        {"Image": f"{name}.png", "class": NAMES[number % 2], "subject_id": number // 2}
        for number, name in enumerate("abcd")
    ]
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"training": items}))
    assert [item["patient"] for item in load_split(path, NAMES, "all")] == ["0", "0", "1", "1"]
    path.write_text(json.dumps({"training": [*items, {"image": "a.png", "label": "cat", "ward": 1}]}))
    with pytest.raises(ValueError, match="list.json: unknown column 'ward'"):
        load_split(path, NAMES, "all")
