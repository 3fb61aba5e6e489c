"""Images without labels that a training may learn from, and those that it must not."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from monai.transforms import Compose, CopyItemsd
from PIL import Image, ImageOps

from dwskd_monai.data import RefusedImages, SliceDataset, load_split, open_unlabeled
from dwskd_monai.data.cache import digest_of
from dwskd_monai.preprocessing import ExpectImaged, FitSlicesd, LoadSlicesd, ScalePercentilesd
from tests.data.test_near_copies import smooth

CLASSES = ["ill", "well"]
TRANSFORM = Compose(
    [
        CopyItemsd("image", names="file"),
        LoadSlicesd("image", expected={"modality": ["DX"]}),
        ExpectImaged("image", expected={"modality": ["DX"]}, most_slices=1),
        FitSlicesd("image", 64),
        ScalePercentilesd("image"),
    ]
)


@pytest.fixture
def places(tmp_path) -> tuple[Path, Path]:
    """Labeled pictures in three splits, and a folder of 20 others."""
    labeled, unlabeled = tmp_path / "labeled", tmp_path / "unlabeled"
    unlabeled.mkdir()
    splits = ["train"] * 12 + ["val"] * 4 + ["test"] * 4
    for number, picture in enumerate(smooth(40)):
        folder = labeled / splits[number] / CLASSES[number % 2] if number < 20 else unlabeled
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{number}.png")
    return labeled, unlabeled


def opened(labeled: Path, unlabeled: Path | None, **options) -> tuple[SliceDataset | None, Path]:
    """The dataset of unlabeled images, and the file that lists those that were left out."""
    splits = [load_split(labeled, CLASSES, split) for split in ("training", "validation")]
    training, validation = (SliceDataset(items, TRANSFORM, progress=False) for items in splits)
    refused = RefusedImages(unlabeled.parent / "refused.csv" if unlabeled else labeled / "refused.csv")
    dataset = open_unlabeled(unlabeled, training, validation, TRANSFORM, labeled, CLASSES, refused, **options)
    return dataset, refused.path


def moved(file: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file.rename(folder / file.name)


def names(dataset: SliceDataset) -> list[str]:
    return [Path(item["image"]).name for item in dataset.data]


def left_out(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return {Path(row["path"]).name: row["reason"] for row in csv.DictReader(file)}


def test_without_a_folder_there_are_none(places):
    assert opened(places[0], None)[0] is None


def test_all_images_of_a_folder_are_used_and_nothing_is_written(places):
    dataset, path = opened(*places)
    assert names(dataset) == sorted(f"{number}.png" for number in range(20, 40))
    assert len(dataset) == 20
    assert "label" not in dataset[0]
    assert not path.exists()


def test_training_images_may_be_among_them(places, caplog):
    labeled, unlabeled = places
    shutil.copytree(labeled / "train", unlabeled / "labeled")
    with caplog.at_level(logging.INFO, "dwskd_monai"):
        dataset, path = opened(labeled, unlabeled)
    assert len(dataset.data) == 20
    assert f"{unlabeled}: 20 images without labels, 12 that are training images" in caplog.messages
    assert not path.exists()


def test_validation_and_test_images_are_left_out_by_content_and_near_copies_too(places, caplog):
    labeled, unlabeled = places
    shutil.copy(labeled / "val" / "ill" / "12.png", unlabeled / "other_name.png")
    shutil.copy(labeled / "test" / "ill" / "16.png", unlabeled / "tested.png")
    mirrored = ImageOps.mirror(Image.open(labeled / "val" / "well" / "13.png")).resize((100, 90))
    mirrored.save(unlabeled / "mirrored.jpg", quality=70)
    Image.open(labeled / "test" / "well" / "17.png").save(unlabeled / "again.jpg", quality=80)
    with caplog.at_level(logging.INFO, "dwskd_monai"):
        dataset, path = opened(labeled, unlabeled)
    assert names(dataset) == sorted(f"{number}.png" for number in range(20, 40))
    assert left_out(path) == {
        "other_name.png": "a copy of a validation image; it is left out",
        "tested.png": "a copy of a test image; it is left out",
        "mirrored.jpg": "shows the same as the validation image 13.png; it is left out",
        "again.jpg": "shows the same as the test image 17.png; it is left out",
    }
    (said,) = [message for message in caplog.messages if "without labels" in message]
    assert said == (
        f"{unlabeled}: 20 images without labels, 4 left out (4 held out): again.jpg, mirrored.jpg, other_name.png, …; "
        f"{path} says why"
    )


def test_a_json_datalist_may_name_them_and_its_labels_are_not_read(places):
    labeled, unlabeled = places
    content = {"training": [{"image": "20.png"}, {"image": "21.png", "label": "no class"}], "test": ["22.png"]}
    (unlabeled / "dataset.json").write_text(json.dumps(content))
    dataset, _ = opened(labeled, unlabeled / "dataset.json")
    assert names(dataset) == ["20.png", "21.png", "22.png"]
    assert "label" not in dataset[0]


def test_what_was_read_once_is_in_the_cache(places, tmp_path, monkeypatch):
    read: list[str] = []
    load = LoadSlicesd.__call__

    def noting(self: LoadSlicesd, data: dict) -> dict:
        read.append(Path(data["image"]).name)
        return load(self, data)

    monkeypatch.setattr(LoadSlicesd, "__call__", noting)
    unlabeled = {f"{number}.png" for number in range(20, 40)}
    opened(*places, cache_dir=tmp_path / "cache")
    assert unlabeled <= set(read)
    read.clear()
    dataset, _ = opened(*places, cache_dir=tmp_path / "cache")
    assert len(dataset) == 20
    assert not unlabeled & set(read)


def test_test_images_that_a_datalist_names_without_a_label_are_left_out_too(places):
    labeled, unlabeled = places
    lists: dict[str, list] = {name: [] for name in ("training", "validation", "test")}
    for path in sorted(labeled.glob("*/*/*.png")):
        name = {"train": "training", "val": "validation"}.get(path.parts[-3], "test")
        image = str(path.relative_to(labeled))
        lists[name].append(image if name == "test" else {"image": image, "label": path.parent.name})
    (labeled / "dataset.json").write_text(json.dumps(lists))
    shutil.copy(labeled / "test" / "ill" / "16.png", unlabeled / "tested.png")
    Image.open(labeled / "test" / "well" / "17.png").save(unlabeled / "again.jpg", quality=80)
    dataset, path = opened(labeled / "dataset.json", unlabeled)
    assert names(dataset) == sorted(f"{number}.png" for number in range(20, 40))
    assert left_out(path) == {
        "tested.png": "a copy of a test image; it is left out",
        "again.jpg": "shows the same as the test image 17.png; it is left out",
    }


def test_others_than_the_wanted_contents_are_as_if_they_were_not_there(places, tmp_path):
    labeled, unlabeled = places
    wanted = [unlabeled / f"{number}.png" for number in (21, 23)]
    shutil.copy(labeled / "val" / "ill" / "12.png", unlabeled / "copy.png")
    (tmp_path / "only.json").write_text(json.dumps({"images": [digest_of(path) for path in wanted]}))
    dataset, path = opened(labeled, unlabeled, only=tmp_path / "only.json")
    assert names(dataset) == ["21.png", "23.png"]
    assert not path.exists()
    for file in wanted:
        file.unlink()
    with pytest.raises(ValueError, match=f"unlabeled_dir: {unlabeled} has none of the 2 images that may be learned"):
        opened(labeled, unlabeled, only=tmp_path / "only.json")


def test_further_images_can_be_held_out(places, tmp_path):
    labeled, unlabeled = places
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(unlabeled / "30.png", elsewhere / "tested.png")
    ImageOps.flip(Image.open(unlabeled / "31.png")).save(elsewhere / "flipped.png")
    dataset, path = opened(labeled, unlabeled, held_out_dir=elsewhere)
    assert len(dataset.data) == 18
    assert left_out(path) == {
        "30.png": "a copy of a held-out image; it is left out",
        "31.png": "shows the same as the held-out image flipped.png; it is left out",
    }


def test_other_images_of_their_patients_are_left_out(places, tmp_path):
    labeled, unlabeled = places
    rows = [("image", "label", "split", "patient")]
    for path in sorted(labeled.glob("*/*/*.png")):
        split = {"train": "training", "val": "validation", "test": "test"}[path.parts[-3]]
        rows.append((path, path.parent.name, split, f"P{path.stem}"))
    listed = [("image", "patient"), *((path, f"Q{path.stem}") for path in sorted(unlabeled.glob("*.png")))]
    listed[1] = (listed[1][0], "P13")  # a validation patient
    listed[2] = (listed[2][0], "P18")  # a test patient
    listed[3] = (listed[3][0], "P3")  # a training patient
    for name, content in (("labeled.csv", rows), ("unlabeled.csv", listed)):
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows(content)
    dataset, path = opened(tmp_path / "labeled.csv", tmp_path / "unlabeled.csv")
    assert names(dataset) == [f"{number}.png" for number in range(22, 40)]
    assert left_out(path) == {
        "20.png": "of the same patient, study or series as the validation image 13.png; it is left out",
        "21.png": "of the same patient, study or series as the test image 18.png; it is left out",
    }


def test_what_belongs_to_an_image_that_is_left_out_is_left_out_too(places, tmp_path):
    labeled, unlabeled = places
    shutil.copy(labeled / "val" / "ill" / "12.png", unlabeled / "copy.png")
    listed = [("image", "patient"), *((path, path.stem) for path in sorted(unlabeled.glob("*.png")))]
    listed = [(path, "A" if Path(path).stem in ("copy", "20") else patient) for path, patient in listed]
    with (tmp_path / "unlabeled.csv").open("w", newline="") as file:
        csv.writer(file).writerows(listed)
    dataset, path = opened(labeled, tmp_path / "unlabeled.csv")
    assert "20.png" not in names(dataset)
    assert left_out(path) == {
        "copy.png": "a copy of a validation image; it is left out",
        "20.png": "of the same patient, study or series as copy.png, which is left out; it is left out",
    }


def test_folders_are_patients_as_among_the_labeled_images(places):
    labeled, unlabeled = places
    (labeled / "val" / "ill" / "patient7").mkdir()
    (labeled / "val" / "ill" / "12.png").rename(labeled / "val" / "ill" / "patient7" / "12.png")
    (unlabeled / "patient7").mkdir()
    (unlabeled / "20.png").rename(unlabeled / "patient7" / "20.png")
    assert "20.png" not in names(opened(labeled, unlabeled)[0])
    assert "20.png" in names(opened(labeled, unlabeled, folder_patients=False)[0])


@pytest.mark.parametrize("folder", ["patient7/study1", "batch2/patient7", "patient7/study1/series3"])
def test_a_patient_may_be_any_folder_on_the_way_to_an_image(places, folder):
    labeled, unlabeled = places
    moved(labeled / "val" / "ill" / "12.png", labeled / "val" / "ill" / "patient7" / "study1")
    moved(unlabeled / "20.png", unlabeled / folder)
    moved(unlabeled / "21.png", unlabeled / "patient8" / "study1")
    dataset, path = opened(labeled, unlabeled)
    assert left_out(path) == {
        "20.png": "of the same patient, study or series as the validation image 12.png; it is left out"
    }
    assert sorted(names(dataset)) == sorted(f"{number}.png" for number in range(21, 40))
    dataset, path = opened(labeled, unlabeled, folder_patients=False)
    assert len(dataset.data) == 20


@pytest.mark.parametrize("folder", ["patient7", "ill/patient7/study1", "images/patient7", "test/patient7"])
def test_folders_of_held_out_images_are_patients_too(places, tmp_path, folder):
    labeled, unlabeled = places
    shutil.copytree(labeled / "test", tmp_path / "copies")
    moved(tmp_path / "copies" / "ill" / "16.png", tmp_path / "elsewhere" / folder)
    moved(unlabeled / "20.png", unlabeled / "patient7")
    moved(unlabeled / "21.png", unlabeled / "patient8")
    dataset, path = opened(labeled, unlabeled, held_out_dir=tmp_path / "elsewhere")
    assert left_out(path).keys() == {"20.png"}
    assert "21.png" in names(dataset)


@pytest.mark.parametrize("folders_of_patients", [True, False])
def test_other_images_in_the_folder_of_a_copy_are_of_its_patient_if_labeled_ones_are_in_such_folders(
    places, folders_of_patients
):
    labeled, unlabeled = places
    if folders_of_patients:
        with_a_labeled_patient(labeled)
    (unlabeled / "patient7").mkdir()
    shutil.copy(labeled / "val" / "ill" / "12.png", unlabeled / "patient7" / "copy.png")
    moved(unlabeled / "20.png", unlabeled / "patient7")
    moved(unlabeled / "21.png", unlabeled / "patient8")
    _, path = opened(labeled, unlabeled)
    copy = {"copy.png": "a copy of a validation image; it is left out"}
    companion = {"20.png": "of the same patient, study or series as copy.png, which is left out; it is left out"}
    assert left_out(path) == (copy | companion if folders_of_patients else copy)


def with_a_labeled_patient(labeled: Path, below: str = "") -> None:
    """Put a training image into the folder of a patient, or of one below it."""
    moved(labeled / "train" / "ill" / "0.png", labeled / "train" / "ill" / "patient1" / below)


@pytest.mark.parametrize(
    ("labeled_in", "folders", "copy_in", "of_the_patient"),
    [
        ("", dict.fromkeys(range(20, 40), "images"), "images", set()),
        ("", {20: "siteA/p1", 21: "siteA/p1", 22: "siteA/p2", 23: "siteB/p1"}, "siteA/p1", {20, 21}),
        ("", {20: "images/p1", 21: "images/p2"}, "images/p1", {20}),
        ("", {20: "p1", 21: "p1/study1", 22: "p2/study1"}, "p1", {20}),
        ("study1", {20: "siteA/p1/s1", 21: "siteA/p1/s2", 22: "siteA/p2/s1"}, "siteA/p1/s1", {20, 21}),
        ("study1", {20: "p1", 21: "p1"}, "p1", set()),
    ],
    ids=["a pool", "sites", "others beside", "deeper", "with studies", "less deep"],
)
def test_a_copy_leaves_out_what_is_in_a_folder_as_deep_as_those_of_labeled_patients(
    places, labeled_in, folders, copy_in, of_the_patient
):
    labeled, unlabeled = places
    with_a_labeled_patient(labeled, labeled_in)
    for number, folder in folders.items():
        moved(unlabeled / f"{number}.png", unlabeled / folder)
    shutil.copy(labeled / "val" / "ill" / "12.png", unlabeled / copy_in / "copy.png")
    dataset, path = opened(labeled, unlabeled)
    assert left_out(path).keys() == {"copy.png", *(f"{number}.png" for number in of_the_patient)}
    assert len(dataset.data) == 20 - len(of_the_patient)


def test_a_folder_that_most_images_are_in_is_not_the_patient_of_the_same_name(places, tmp_path):
    labeled, unlabeled = places
    held = tmp_path / "held" / "images"
    shutil.copytree(labeled / "test" / "ill", held)
    for number in range(20, 36):
        moved(unlabeled / f"{number}.png", unlabeled / "images")
    dataset, path = opened(labeled, unlabeled, held_out_dir=tmp_path / "held")
    assert len(dataset.data) == 20
    assert not path.exists()


def test_labeled_images_may_be_in_a_folder_beside_the_others(places):
    labeled, unlabeled = places
    with_a_labeled_patient(labeled)
    shutil.copytree(labeled, unlabeled.parent / "all" / "labeled")
    unlabeled.rename(unlabeled.parent / "all" / "others")
    dataset, _ = opened(labeled, unlabeled.parent / "all")
    assert sorted(names(dataset)) == sorted(f"{number}.png" for number in range(20, 40))


def test_if_folders_leave_nothing_the_error_says_why(places):
    labeled, unlabeled = places
    with_a_labeled_patient(labeled)
    for number, file in enumerate(sorted(unlabeled.iterdir())):
        moved(file, unlabeled / f"part{number % 2}")
    for part, name in (("part0", "12"), ("part1", "14")):
        shutil.copy(labeled / "val" / "ill" / f"{name}.png", unlabeled / part / f"{name}_copy.png")
    with pytest.raises(
        ValueError, match="no further image .* A folder in it is taken for a patient if it is named like"
    ):
        opened(labeled, unlabeled)


def test_held_out_images_that_cannot_be_read_are_said_and_change_nothing_else(places, caplog):
    labeled, unlabeled = places
    broken = labeled / "test" / "ill" / "16.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with caplog.at_level(logging.WARNING, "dwskd_monai"):
        dataset, path = opened(labeled, unlabeled)
    assert len(dataset.data) == 20
    assert not path.exists()
    held_out = path.with_name("refused_test.csv")
    assert caplog.messages == [
        "1 test images cannot be read, so copies of them are not found among the images without labels; "
        f"{held_out} says why"
    ]


def write_dicom(path: Path, picture: Image.Image, patient: str, modality: str = "DX") -> None:
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = (pydicom.uid.generate_uid() for _ in range(2))
    dataset.PatientID, dataset.Modality = patient, modality
    dataset.Rows, dataset.Columns = picture.height, picture.width
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = picture.convert("L").tobytes()
    dataset.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("dicom_patients", [True, False])
def test_patients_are_those_of_dicom_headers(places, dicom_patients):
    labeled, unlabeled = places
    pictures = smooth(44)[40:]
    write_dicom(labeled / "val" / "ill" / "held.dcm", pictures[0], "Anna")
    write_dicom(unlabeled / "same.dcm", pictures[1], "Anna")
    write_dicom(unlabeled / "other.dcm", pictures[2], "Berta")
    dataset, path = opened(labeled, unlabeled, dicom_series=False, dicom_patients=dicom_patients)
    assert len(left_out(path)) == 1 if dicom_patients else not path.exists()
    assert ("same.dcm" in names(dataset)) is not dicom_patients
    assert "other.dcm" in names(dataset)
    if dicom_patients:
        assert left_out(path)["same.dcm"].startswith(
            "of the same patient, study or series as the validation image held"
        )


def test_what_is_no_image_among_held_out_ones_is_listed_with_them(places, tmp_path, caplog):
    labeled, unlabeled = places
    shutil.copytree(labeled / "test" / "ill", tmp_path / "held")
    (tmp_path / "held" / "movie.mp4").write_bytes(b"0" * 100)
    _, path = opened(labeled, unlabeled, held_out_dir=tmp_path / "held")
    assert not path.exists()
    assert "movie.mp4" in path.with_name("refused_held_out.csv").read_text()
    assert "1 held-out images cannot be read" in caplog.text


def test_images_of_another_kind_are_left_out_as_at_inference(places):
    labeled, unlabeled = places
    write_dicom(unlabeled / "slice.dcm", smooth(41)[40], "Berta", modality="CT")
    volume = np.random.default_rng(0).integers(0, 100, (16, 16, 5)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), unlabeled / "volume.nii")
    (unlabeled / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot a picture")
    dataset, path = opened(labeled, unlabeled, dicom_series=False)
    assert len(dataset.data) == 20
    reasons = left_out(path)
    assert set(reasons) == {"slice.dcm", "volume.nii", "broken.png"}
    assert "modality is CT; expected DX" in reasons["slice.dcm"]


def test_labeled_images_may_be_named_elsewhere_as_by_monai_label(places):
    labeled, unlabeled = places
    splits = [load_split(labeled, CLASSES, split) for split in ("training", "validation")]
    training, validation = (SliceDataset(items, TRANSFORM, progress=False) for items in splits)
    refused = RefusedImages(unlabeled.parent / "refused.csv")
    dataset = open_unlabeled(unlabeled, training, validation, TRANSFORM, labeled / "nowhere", CLASSES, refused)
    assert len(dataset.data) == 20


def test_volumes_are_drawn_from_as_labeled_ones_are(places, tmp_path):
    labeled = tmp_path / "volumes"
    generator = np.random.default_rng(0)
    for folder, name in (("train/ill", "a"), ("train/well", "b"), ("val/ill", "c"), (".", "d"), (".", "e")):
        place = tmp_path / "more" if folder == "." else labeled / folder
        place.mkdir(parents=True, exist_ok=True)
        volume = generator.integers(0, 1000, (16, 16, 6)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), place / f"{name}.nii.gz")
    transform = Compose([LoadSlicesd("image"), FitSlicesd("image", 16), ScalePercentilesd("image")])
    training, validation = (
        SliceDataset(load_split(labeled, CLASSES, split), transform, slices_per_study=3, progress=False)
        for split in ("training", "validation")
    )
    shutil.copy(labeled / "val" / "ill" / "c.nii.gz", tmp_path / "more" / "copy.nii.gz")
    dataset = open_unlabeled(
        tmp_path / "more", training, validation, transform, labeled, CLASSES, RefusedImages(tmp_path / "refused.csv"),
        slices_per_study=3,
    )  # fmt: skip
    assert names(dataset) == ["d.nii.gz", "e.nii.gz"]
    assert dataset.places() == [0, 0, 0, 1, 1, 1]
    assert dataset[5]["slice"] in (4, 5)


def test_nothing_usable_is_an_error_that_says_what_there_was(places, tmp_path):
    labeled, _ = places
    with pytest.raises(
        ValueError, match=r"labeled has no further image to learn from; 12 that are training images, 8 left"
    ):
        opened(labeled, labeled)
    with pytest.raises(FileNotFoundError, match="unlabeled_dir: .*nowhere does not exist; give a folder of images"):
        opened(labeled, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="unlabeled_dir: no image"):
        opened(labeled, tmp_path / "empty")


def test_if_none_is_required_there_may_be_nothing_besides_the_training_images(places, caplog):
    labeled, _ = places
    caplog.set_level("INFO")
    assert opened(labeled, labeled, required=False)[0] is None
    assert "labeled: 0 images without labels, 12 that are training images, 8 left out" in caplog.text
