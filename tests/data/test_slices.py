from __future__ import annotations

import logging
import os
import weakref
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.data.utils import set_rnd
from monai.transforms import Compose, EnsureTyped, RandGaussianNoised
from PIL import Image

from dwskd_monai.data.cache import ImageCache
from dwskd_monai.data.refused import RefusedImages
from dwskd_monai.data.slices import SliceDataset
from dwskd_monai.data.store import ImageStore
from dwskd_monai.data.stream import SliceStream
from dwskd_monai.files import DiskFullError
from dwskd_monai.preprocessing.transforms import FitSlicesd, LoadSlicesd
from dwskd_monai.reading import RefusedImage
from dwskd_monai.training.views import AugmentViewsd

LENGTHS = {"a.nii.gz": 12, "b.nii.gz": 5, "c.png": 1}


@pytest.fixture
def studies(tmp_path) -> list[dict[str, object]]:
    """Volumes of 12 and 5 slices and a picture; the mean of a slice is 100 × study + slice."""
    items = []
    for number, (name, length) in enumerate(LENGTHS.items()):
        path = tmp_path / name
        if length > 1:
            pixels = np.broadcast_to(100 * number + np.arange(length), (8, 8, length)).astype(np.int16)
            nibabel.save(nibabel.Nifti1Image(pixels, np.diag([1, 1, 3, 1.0])), path)
        else:
            pixels = np.full((8, 8), 100 * number, np.uint8)
            pixels[:2, 0] += np.uint8(5)  # a constant picture is refused; the mean stays
            pixels[:2, 1] -= np.uint8(5)
            Image.fromarray(pixels).save(path)
        items.append({"image": str(path), "label": number, "study": f"S{number}", "patient": "P"})
    return items


def preparing(*more: object) -> Compose:
    steps = [LoadSlicesd(keys="image"), FitSlicesd(keys="image", spatial_size=4), EnsureTyped(keys="image")]
    return Compose([*steps, *more])


def values(dataset: SliceDataset) -> list[int]:
    return [int(dataset[index]["image"].mean()) for index in range(len(dataset))]


def test_a_slice_of_a_study_is_found_across_its_images_and_without_augmentation(studies):
    studies[1]["study"] = studies[0]["study"] = "S"
    studies[1]["label"] = studies[0]["label"]
    dataset = SliceDataset(studies, preparing(RandGaussianNoised(keys="image", prob=1.0)), progress=False)
    item = dataset.item_of(0, 13)
    assert (int(item["image"].mean()), item["slice"], item["study"]) == (101, 13, "S")
    assert dataset.item_of(1, 0)["image"].mean() == 200
    with pytest.raises(IndexError, match="study 0 has no slice 17"):
        dataset.item_of(0, 17)


def test_the_files_of_a_study_have_properties(studies):
    studies[1]["study"] = studies[0]["study"] = "S"
    studies[1]["label"] = studies[0]["label"]
    properties = SliceDataset(studies, preparing(), progress=False).file_properties()
    assert properties["image size"] == [(8, 8, 1, 12, 2), (8, 8, 1, 1, 1)]
    assert properties["file type"] == [("NIfTI",), ("PNG",)]
    assert properties["bit depth"] == [("16", ""), ("8", "L")]


@pytest.mark.parametrize("cached", [True, False])
def test_evaluation_has_each_slice_once_in_order(tmp_path, studies, cached):
    dataset = SliceDataset(studies, preparing(), cache_dir=tmp_path / "cache" if cached else None, progress=False)
    assert values(dataset) == [*range(12), *range(100, 105), 200]
    item = dataset[13]
    assert item["image"].shape == (1, 4, 4)
    assert {key: item[key] for key in ("slice", "slices", "study", "study_index", "label")} == {
        "slice": 1,
        "slices": 5,
        "study": "S1",
        "study_index": 1,
        "label": 1,
    }
    batch = next(iter(DataLoader(dataset, batch_size=18)))
    assert batch["image"].shape == (18, 1, 4, 4)
    assert batch["label"].tolist() == [0] * 12 + [1] * 5 + [2]


@pytest.mark.slow
@pytest.mark.parametrize("cached", [True, False])
def test_training_draws_one_slice_from_each_part_of_a_study(tmp_path, studies, cached):
    dataset = SliceDataset(
        studies, preparing(), cache_dir=tmp_path / "cache" if cached else None, slices_per_study=4, progress=False
    )
    assert len(dataset) == 4 + 4 + 1, "a picture has one slice and is drawn once"
    seen: Counter[int] = Counter()
    set_rnd(dataset, 0)
    for _ in range(300):
        epoch = values(dataset)
        for slot, value in enumerate(epoch[:4]):
            assert value // 3 == slot, "three slices in each of four parts"
        assert epoch[8] == 200
        seen.update(epoch)
    counts = [seen[value] for value in range(12)]
    assert min(counts) > 60, "each slice is drawn, about 100 times"
    assert set(range(100, 105)) <= set(seen)


@pytest.mark.parametrize(("min_slices", "times"), [(0, 1), (9, 1), (10, 2), (18, 2), (19, 3)])
def test_an_epoch_has_enough_slices_and_as_many_of_each_study(studies, min_slices, times, caplog):
    with caplog.at_level(logging.INFO, "dwskd_monai"):
        dataset = SliceDataset(studies, preparing(), slices_per_study=4, min_slices=min_slices, progress=False)
    assert len(dataset) == 9 * times >= min_slices
    drawn = Counter(item["study"] for item in (dataset[index] for index in range(len(dataset))))
    assert drawn == {"S0": 4 * times, "S1": 4 * times, "S2": times}
    assert len(dataset.contents()) == 3, "the images themselves are the same"
    said = f"each epoch goes through the studies {times} times, for min_steps"
    assert (said in caplog.messages) == (times > 1)


def test_labels_are_indices_also_where_data_has_names(studies):
    named = [item | {"label": ["a", "b", "c"][item["label"]]} for item in studies]
    assert SliceDataset(named, preparing(), class_names=["a", "b", "c"], progress=False).labels() == [0, 1, 2]


def test_draws_and_augmentation_are_seeded(studies):
    noise = AugmentViewsd(Compose([RandGaussianNoised(keys="image", prob=1.0, std=0.1)]))
    dataset = SliceDataset(studies, preparing(noise), slices_per_study=3, progress=False)

    def epoch(seed: int) -> torch.Tensor:
        set_rnd(dataset, seed)
        return torch.stack([dataset[index]["image"] for index in range(len(dataset))])

    assert torch.equal(epoch(1), epoch(1))
    assert not torch.equal(epoch(1), epoch(2))
    clean = SliceDataset(studies, preparing(), slices_per_study=3, progress=False)
    assert len(dataset) == len(clean)
    set_rnd(dataset, 5)
    first, second = dataset[0]["image"], dataset[0]["image"]
    assert not torch.equal(first, second), "what is kept is untouched"


def test_worker_processes_draw_differently(studies):
    dataset = SliceDataset([studies[0]] * 6, preparing(), slices_per_study=1, progress=False)
    torch.manual_seed(0)
    drawn = [int(batch["image"].mean()) for batch in DataLoader(dataset, batch_size=1, num_workers=2)]
    assert len(set(drawn)) > 2


def test_a_second_epoch_and_a_second_run_read_no_file(tmp_path, studies, monkeypatch):
    cache_dir = tmp_path / "cache"
    first = values(SliceDataset(studies, preparing(), cache_dir=cache_dir, progress=False))
    monkeypatch.setattr("dwskd_monai.preprocessing.transforms.read_image", lambda *_: pytest.fail("a file was decoded"))
    dataset = SliceDataset(studies, preparing(), cache_dir=cache_dir, progress=False)
    for _ in range(2):
        assert values(dataset) == first


def test_a_changed_file_and_a_changed_transform_are_read_again(tmp_path, studies):
    cache_dir = tmp_path / "cache"
    SliceDataset(studies, preparing(), cache_dir=cache_dir, progress=False)
    path = Path(str(studies[1]["image"]))
    pixels = np.broadcast_to(7 + np.arange(5), (8, 8, 5)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(pixels, np.diag([1, 1, 3, 1.0])), path)
    os.utime(path, ns=(1, 1))
    changed = SliceDataset(studies, preparing(), cache_dir=cache_dir, progress=False)
    assert values(changed)[12:17] == [7, 8, 9, 10, 11]
    larger = [LoadSlicesd(keys="image"), FitSlicesd(keys="image", spatial_size=6), EnsureTyped(keys="image")]
    assert SliceDataset(studies, Compose(larger), cache_dir=cache_dir, progress=False)[0]["image"].shape == (1, 6, 6)


def test_a_damaged_entry_is_rebuilt(tmp_path, studies):
    cache_dir = tmp_path / "cache"
    first = values(SliceDataset(studies, preparing(), cache_dir=cache_dir, progress=False))
    entries = sorted(cache_dir.rglob("*.safetensors"))
    assert len(entries) == 3
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:-3])
    assert values(SliceDataset(studies, preparing(), cache_dir=cache_dir, progress=False)) == first


def test_all_broken_studies_are_named_and_the_others_are_kept(tmp_path, studies):
    for study in studies[:2]:
        path = Path(str(study["image"]))
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match=r"2 of 3 images") as caught:
        SliceDataset(studies, preparing(), cache_dir=tmp_path / "cache", progress=False)
    assert str(caught.value).count("damaged NIfTI file") == 2
    assert "a.nii.gz" in str(caught.value)
    assert "b.nii.gz" in str(caught.value)
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 1


def test_all_of_many_broken_images_are_listed_and_twenty_are_shown(tmp_path):
    for number in range(30):
        (tmp_path / f"{number:02d}.nii").touch()
    items = [{"image": str(path)} for path in sorted(tmp_path.glob("*.nii"))]
    with pytest.raises(ValueError, match=r"30 of 30 images cannot be read") as caught:
        SliceDataset(items, preparing(), progress=False)
    assert "19.nii" in str(caught.value)
    assert str(caught.value).endswith("- and 10 more")
    refused = RefusedImages(tmp_path / "refused.csv")
    with pytest.raises(ValueError, match=r"30 of 30 images cannot be read"):
        SliceDataset(items, preparing(), progress=False, refused=refused)
    assert (tmp_path / "refused.csv").read_text().count(".nii") == 30


@pytest.mark.parametrize("strict", [False, True])
def test_a_broken_image_is_listed_and_the_others_are_used(tmp_path, studies, strict):
    path = Path(str(studies[1]["image"]))
    path.write_bytes(path.read_bytes()[:60])
    refused = RefusedImages(tmp_path / "out" / "refused.csv", strict)
    if strict:
        with pytest.raises(RefusedImage, match=r"b.nii.gz: a damaged NIfTI file"):
            SliceDataset(studies, preparing(), progress=False, refused=refused)
        return
    dataset = SliceDataset(studies, preparing(), progress=False, refused=refused)
    assert {item["study"] for item in dataset} == {studies[0]["study"], studies[2]["study"]}
    assert dataset.refused_count == 1
    assert [label for _, label in dataset.contents()] == [studies[0].get("label"), studies[2].get("label")]
    assert [(row["path"], row["kind"]) for row in refused.rows()] == [(str(path), "damaged")]


def test_a_study_that_lacks_an_image_is_left_out_whole(tmp_path, studies):
    path = Path(str(studies[1]["image"]))
    path.write_bytes(path.read_bytes()[:60])
    divided = [studies[0] | {"study": "S"}, studies[1] | {"study": "S"}, studies[2]]
    listed = {}
    for use in (SliceDataset, SliceStream):
        refused = RefusedImages(tmp_path / "refused.csv")
        used = list(use(divided, preparing(), refused=refused))
        assert {item["study"] for item in used} == {studies[2]["study"]}
        listed[use] = [(row["path"], row["reason"]) for row in refused.rows()]
    assert listed[SliceDataset] == listed[SliceStream]
    assert listed[SliceStream][0] == (
        str(studies[0]["image"]),
        "another image of its study (S) is refused; fix that one",
    )


def test_relative_paths_are_found_when_a_library_changes_the_working_directory(tmp_path, studies, monkeypatch):
    """As ITK does while it loads a part of itself, in any of the threads that read."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    relative = [{**study, "image": os.path.relpath(str(study["image"]))} for study in studies]

    def going_elsewhere(item):
        os.chdir(tmp_path / "elsewhere")
        return item

    kept = ImageStore([*preparing().transforms, going_elsewhere], "cache").read_all(relative, 0, progress=False)
    assert [image.length for image in kept] == list(LENGTHS.values())
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == len(LENGTHS)
    assert not (tmp_path / "elsewhere" / "cache").exists()


def test_images_of_one_study_count_as_one(studies):
    one = [study | {"study": "S", "label": 1} for study in studies]
    dataset = SliceDataset(one, preparing(), progress=False)
    items = [dataset[index] for index in range(len(dataset))]
    assert [item["slice"] for item in items] == list(range(18))
    assert {(item["slices"], item["study_index"]) for item in items} == {(18, 0)}


def test_the_patients_of_studies_are_in_the_order_of_their_numbers(studies):
    studies[1] = {**studies[1], "study": "S0", "patient": "P"}
    del studies[2]["patient"]
    dataset = SliceDataset(studies, preparing(), progress=False)
    assert dataset.patients() == ["P", None]
    assert [dataset[index]["study_index"] for index in (0, 12, 17)] == [0, 0, 1]


def test_a_study_has_the_values_of_its_first_image_that_has_one(studies):
    studies[0] |= {"study": "S", "age": "40"}
    studies[1] |= {"study": "S", "age": "41", "sex": "F"}
    dataset = SliceDataset(studies, preparing(), progress=False)
    assert dataset.subgroups() == {"age": ["40", None], "sex": ["F", None]}


@pytest.mark.parametrize(("most", "chosen"), [(100, range(18)), (18, range(18)), (5, [0, 4, 8, 13, 17]), (1, [0])])
def test_images_without_augmentation_are_all_slices_or_some_evenly_spaced(studies, most, chosen):
    noise = RandGaussianNoised(keys="image", prob=1, std=50)
    dataset = SliceDataset(studies, preparing(noise), slices_per_study=1, min_slices=9, progress=False)
    dataset.set_random_state(0)
    state = dataset.R.get_state()[1].tolist()
    every = [*range(12), *range(100, 105), 200]
    assert values(dataset.without_augmentation(most)) == [every[place] for place in chosen]
    assert dataset.R.get_state()[1].tolist() == state
    assert len(dataset) == 9, "the dataset itself stays as it is"


def test_images_are_counted_by_their_contents(studies):
    dataset = SliceDataset(studies, preparing(), progress=False)
    digests = [digest for digest, _ in dataset.contents()]
    assert dataset.count_of([*digests[1:], "another"]) == 2
    assert dataset.count_of(None) is None


def test_arguments_out_of_range_are_named(studies):
    with pytest.raises(ValueError, match="slices_per_study must be 1 or more, got 0"):
        SliceDataset(studies, preparing(), slices_per_study=0)
    with pytest.raises(ValueError, match=r"c.png: expected \(C, D, H, W\) after preprocessing, got \(4, 4\)"):
        SliceDataset(
            studies[2:], Compose([lambda item: item | {"image": torch.zeros(4, 4)}]), cache_dir=None, progress=False
        )


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stream_has_each_slice_once_and_studies_in_one_piece(studies, num_workers):
    batches = list(DataLoader(SliceStream(studies, preparing()), batch_size=4, num_workers=num_workers))
    assert max(len(batch["image"]) for batch in batches) == 4
    slices = {
        (study, int(index)): (int(pixels.mean()), int(count))
        for batch in batches
        for study, index, pixels, count in zip(batch["study"], batch["slice"], batch["image"], batch["slices"])
    }
    expected = {
        (f"S{number}", index): (100 * number + index, length)
        for number, length in enumerate(LENGTHS.values())
        for index in range(length)
    }
    assert slices == expected


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stream_numbers_the_slices_of_a_study_through_as_a_dataset_does(studies, num_workers):
    """The study's images are apart in the list; between them is another study."""
    divided = [studies[0] | {"study": "S"}, studies[1], studies[2] | {"study": "S"}]
    dataset = SliceDataset(divided, preparing(), progress=False)
    expected = {(item["study"], item["slice"]): int(item["image"].mean()) for item in dataset}
    batches = list(DataLoader(SliceStream(divided, preparing()), batch_size=4, num_workers=num_workers))
    streamed = {
        (study, int(index)): int(pixels.mean())
        for batch in batches
        for study, index, pixels in zip(batch["study"], batch["slice"], batch["image"])
    }
    assert streamed == expected
    counts = {(study, int(count)) for batch in batches for study, count in zip(batch["study"], batch["slices"])}
    assert counts == {("S", 13), ("S1", 5)}


def test_a_stream_has_one_study_in_memory(studies):
    read: list[weakref.ref] = []

    def watch(item: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        assert all(volume() is None for volume in read), "the one before is still there"
        read.append(weakref.ref(item["image"]))
        return item

    assert sum(1 for _ in SliceStream(studies, preparing(watch))) == 18
    assert len(read) == 3


def test_a_broken_study_in_a_stream_is_named(studies):
    path = Path(str(studies[1]["image"]))
    path.write_bytes(path.read_bytes()[:60])
    stream = iter(SliceStream(studies, preparing()))
    assert [next(stream)["study"] for _ in range(12)] == ["S0"] * 12
    with pytest.raises(ValueError, match=r"b.nii.gz: a damaged NIfTI file"):
        next(stream)


@pytest.mark.parametrize("use", [SliceDataset, SliceStream])
@pytest.mark.parametrize("error", [AttributeError("a fault of a program"), ModuleNotFoundError("no itk")])
def test_what_is_no_fault_of_an_image_ends_the_run(tmp_path, studies, use, error):
    def fail(item):
        raise error

    refused = RefusedImages(tmp_path / "refused.csv")
    with pytest.raises(type(error)):
        list(use(studies, preparing(fail), refused=refused))
    assert refused.count() == 0


def test_a_cache_that_cannot_be_written_is_no_fault_of_an_image(tmp_path, studies, monkeypatch):
    def full(self, path, volume):
        raise DiskFullError(tmp_path / "entry")

    monkeypatch.setattr(ImageCache, "save", full)
    refused = RefusedImages(tmp_path / "refused.csv")
    with pytest.raises(DiskFullError):
        SliceDataset(studies, preparing(), tmp_path / "cache", progress=False, refused=refused)
    assert refused.count() == 0
