from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from dwskd_monai.data.images import list_images
from dwskd_monai.data.phantoms.writing import write_series
from dwskd_monai.data.refused import RefusedImages


def listed(folder, **settings) -> list[str]:
    return [item["image"] for item in list_images(folder, **settings)]


def test_a_folder_with_subfolders_or_one_file(tmp_path):
    files = [tmp_path / name for name in ("a/inner/00.png", "a/inner/01.png", "b/00.png", "notes.txt")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert listed(tmp_path) == [str(file) for file in files[:3]]
    assert list_images(files[2]) == [{"image": str(files[2]), "study": str(files[2])}]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no image"):
        list_images(tmp_path / "empty")


def test_the_folder_of_a_series(tmp_path):
    for scan in ("0", "1"):
        write_series(np.zeros((4, 5, 3)), np.diag([1.0, 1.0, 2.0, 1.0]), tmp_path / scan, "P1", "CT")
    assert listed(tmp_path) == [str(tmp_path / "0"), str(tmp_path / "1")]
    assert listed(tmp_path / "0") == [str(tmp_path / "0")]
    assert len(listed(tmp_path / "0", dicom_series=False)) == 3


def test_folders_with_parts_of_one_series_are_named(tmp_path, caplog):
    for scan in ("0", "1", "2"):
        write_series(np.zeros((4, 5, 4)), np.diag([1.0, 1.0, 2.0, 1.0]), tmp_path / scan, "P1", "CT")
    assert listed(tmp_path) == [str(tmp_path / scan) for scan in "012"]
    assert not caplog.messages
    moved = sorted((tmp_path / "1").iterdir())[2:]
    (tmp_path / "1" / "more").mkdir()
    for path in moved:
        path.rename(tmp_path / "1" / "more" / path.name)
    assert len(listed(tmp_path)) == 4
    series = pydicom.dcmread(next((tmp_path / "1").glob("*.dcm"))).SeriesInstanceUID
    assert caplog.messages == [
        f"DICOM series {series}: files in 2 folders, each of which is taken for an image of its own "
        f"({tmp_path / '1'}, {tmp_path / '1' / 'more'}); if they are the slices of one volume, put them into one folder"
    ]


def write_datalist(folder, name: str, text: str):
    for image in ("a.png", "b.png", "c.png"):
        (folder / image).touch()
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "image,study\nb.png,S1\na.png,\nc.png,S1\n"),
        ("list.csv", "image,label,patient,study,split\nb.png,no class,P1,S1,test\na.png,,,,\nc.png,,P1,S1,train\n"),
        (
            "list.json",
            '{"description": "x", "test": [{"image": "b.png", "study": "S1"}, {"image": "a.png"}],'
            ' "training": [{"image": "c.png", "study": "S1", "label": 7}]}',
        ),
    ],
)
def test_a_datalist_is_listed_in_its_order_with_its_studies_and_needs_no_labels(tmp_path, name, text):
    a, b, c = (str(tmp_path / f"{image}.png") for image in "abc")
    patient = {"patient": "P1"} if "P1" in text else {}
    assert list_images(write_datalist(tmp_path, name, text)) == [
        {"image": b, "study": "S1", **patient},
        {"image": a, "study": a},
        {"image": c, "study": "S1", **patient},
    ]


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("list.csv", "label\na\n", ValueError, "column image is missing; expected image and optionally label, pat"),
        ("list.csv", "image\nx.png\n", FileNotFoundError, r"list.csv: line 2: image .*x.png does not exist"),
        ("list.csv", "image\n", FileNotFoundError, r"dataset_dir: no image .* below .*list.csv, or listed there"),
        ("list.json", "[]", ValueError, "list.json: expected an object with a list under training"),
    ],
)
def test_a_wrong_datalist_is_named(tmp_path, name, text, error, message):
    with pytest.raises(error, match=message):
        list_images(write_datalist(tmp_path, name, text))


def test_an_image_of_a_datalist_that_does_not_exist_is_left_to_reading_if_it_may_be_refused(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "list.csv").write_text("image\na.png\nmissing.png\n")
    with pytest.raises(FileNotFoundError, match=r"line 3: image .*missing.png does not exist"):
        list_images(tmp_path / "list.csv")
    items = list_images(tmp_path / "list.csv", refused=RefusedImages(tmp_path / "refused.csv"))
    assert [Path(item["image"]).name for item in items] == ["a.png", "missing.png"]


def test_a_study_with_images_of_two_patients_is_refused(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    (tmp_path / "list.csv").write_text("image,study,patient\na.png,1,P1\nb.png,1,P2\n")
    with pytest.raises(ValueError, match=r"study 1 has images of two patients \(that of the second is .*line 3\)"):
        list_images(tmp_path / "list.csv")
