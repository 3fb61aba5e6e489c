from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import Compose, EnsureTyped
from PIL import Image
from torch.utils.data import DataLoader

from dwskd_monai.data.cache import ImageCache, digest_of
from dwskd_monai.data.items import PreparedImage
from dwskd_monai.data.slices import SliceDataset
from dwskd_monai.preprocessing.transforms import FitSlicesd, LoadSlicesd


def transforms(size: int = 8) -> list[object]:
    return [
        FitSlicesd(keys="image", spatial_size=size),
        EnsureTyped(keys="image", dtype=torch.float32, track_meta=False),
    ]


@pytest.fixture
def volume() -> torch.Tensor:
    return torch.randn(2, 5, 8, 6)


@pytest.fixture
def image(tmp_path) -> Path:
    (tmp_path / "x.nii").write_bytes(b"content")
    return tmp_path / "x.nii"


def kept(tmp_path: Path, image: Path, volume: torch.Tensor) -> tuple[ImageCache, Path]:
    cache = ImageCache(tmp_path / "cache", transforms())
    path = cache.path_of(image)
    assert cache.length_and_plane(path) is None
    cache.save(path, PreparedImage(volume, "coronal"))
    cache.save_index()
    return cache, path


def test_slices_come_back_exactly(tmp_path, image, volume):
    cache, path = kept(tmp_path, image, volume)
    assert cache.length_and_plane(path) == (5, "coronal")
    for index in range(5):
        assert torch.equal(cache.slice_of(path, index), volume[:, index])


def test_a_file_is_found_by_its_content_wherever_it_lies(tmp_path, image, volume):
    _, path = kept(tmp_path, image, volume)
    (tmp_path / "moved").mkdir()
    moved = image.rename(tmp_path / "moved" / "other.nii")
    assert ImageCache(tmp_path / "cache", transforms()).path_of(moved) == path
    moved.write_bytes(b"CONTENT")
    assert ImageCache(tmp_path / "cache", transforms()).path_of(moved) != path


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "notes.txt", "._1.dcm"])
def test_what_is_no_slice_does_not_make_a_series_another_one(tmp_path, name):
    (tmp_path / "series").mkdir()
    for number in "12":
        (tmp_path / "series" / f"{number}.dcm").write_text(number)
    before = digest_of(tmp_path / "series")
    (tmp_path / "series" / name).write_bytes(b"left here")
    assert digest_of(tmp_path / "series") == before


def test_a_series_is_found_by_all_its_files(tmp_path):
    (tmp_path / "series").mkdir()
    for name in "ab":
        (tmp_path / "series" / f"{name}.dcm").write_text(name)
    cache = ImageCache(tmp_path / "cache", transforms())
    before = cache.path_of(tmp_path / "series")
    (tmp_path / "series" / "c.dcm").write_text("c")
    assert cache.path_of(tmp_path / "series") != before


def test_other_transforms_have_other_entries(tmp_path, image):
    paths = {ImageCache(tmp_path, transforms(size)).path_of(image) for size in (8, 9)}
    paths.add(ImageCache(tmp_path, transforms()[:1]).path_of(image))
    assert len(paths) == 3
    assert ImageCache(tmp_path, transforms()).path_of(image) in paths


def test_another_version_of_preprocessing_has_other_entries(tmp_path, image, monkeypatch):
    before = ImageCache(tmp_path, transforms()).path_of(image)
    monkeypatch.setattr("dwskd_monai.preprocessing.transforms.PREPROCESSING_VERSION", 0)
    assert ImageCache(tmp_path, transforms()).path_of(image) != before


def test_an_unchanged_file_is_not_read_again(tmp_path, image, volume, monkeypatch):
    _, path = kept(tmp_path, image, volume)
    cache = ImageCache(tmp_path / "cache", transforms())
    monkeypatch.setattr("dwskd_monai.data.cache._digest", lambda files: pytest.fail("the file was read"))
    assert cache.path_of(image) == path


@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "flipped"])
def test_a_damaged_entry_is_not_taken(tmp_path, image, volume, damage):
    cache, path = kept(tmp_path, image, volume)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    wrong = {"empty": b"", "truncated": content[:-9], "text": b"x" * len(content), "flipped": content}[damage]
    path.write_bytes(wrong)
    assert cache.length_and_plane(path) is None
    cache.save(path, PreparedImage(volume, "coronal"))
    assert cache.length_and_plane(path) == (5, "coronal")


def test_a_damaged_index_costs_nothing_but_time(tmp_path, image, volume):
    _, path = kept(tmp_path, image, volume)
    for content in ("{", "[1]", ""):
        (tmp_path / "cache" / "index.json").write_text(content)
        assert ImageCache(tmp_path / "cache", transforms()).path_of(image) == path


def test_a_folder_that_cannot_be_written_is_named(tmp_path, image, volume):
    (tmp_path / "cache").write_text("a file")
    cache = ImageCache(tmp_path / "cache", transforms())
    with pytest.raises(OSError, match="cache"):
        cache.save(cache.path_of(image), PreparedImage(volume, "unknown"))


def picture_dataset(folder: Path, pictures: list[Path], num_workers: int = 0) -> SliceDataset:
    steps = [LoadSlicesd(keys="image"), *transforms()]
    items = [{"image": str(path), "label": 0} for path in pictures]
    return SliceDataset(items, Compose(steps), cache_dir=folder, num_workers=num_workers, progress=False)


@pytest.fixture
def pictures(tmp_path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (12, 12), np.uint8)).save(path)
    return paths


def test_equal_files_may_be_read_at_one_time(tmp_path, pictures):
    copies = [shutil.copy(pictures[0], tmp_path / f"copy{number}.png") for number in range(40)]
    for attempt in range(5):
        dataset = picture_dataset(tmp_path / f"cache{attempt}", [Path(path) for path in copies], num_workers=8)
        assert all(torch.equal(dataset[index]["image"], dataset[0]["image"]) for index in range(40))
        assert len(list((tmp_path / f"cache{attempt}").rglob("*.safetensors"))) == 1
        assert not list((tmp_path / f"cache{attempt}").rglob(".*.tmp"))


@pytest.mark.parametrize("gone", ["entry", "all", "damaged"])
def test_an_entry_that_is_gone_is_made_again(tmp_path, pictures, caplog, gone):
    dataset = picture_dataset(tmp_path / "cache", pictures)
    before = [item["image"].clone() for item in dataset]  # they are views of the entries
    entries = sorted((tmp_path / "cache").rglob("*.safetensors"))
    for entry in entries:
        entry.write_bytes(b"") if gone == "damaged" else entry.unlink()
    if gone == "all":
        shutil.rmtree(tmp_path / "cache")
    for item, image in zip(dataset, before):
        assert torch.equal(item["image"], image)
    assert caplog.text.count("is gone or damaged; the image is read again") == 4
    assert sorted((tmp_path / "cache").rglob("*.safetensors")) == entries
    caplog.clear()
    assert torch.equal(dataset[0]["image"], before[0])
    assert not caplog.records


def test_an_entry_is_not_made_again_of_another_content(tmp_path, pictures):
    dataset = picture_dataset(tmp_path / "cache", pictures)
    shutil.rmtree(tmp_path / "cache")
    Image.new("L", (12, 12), 7).save(pictures[0])
    with pytest.raises(ValueError, match="0.png: its content has changed since it was first read"):
        dataset[0]
    assert dataset[1]["image"].shape == (1, 8, 8)


def test_a_cache_may_be_sent_to_another_process(tmp_path, pictures):
    dataset = picture_dataset(tmp_path / "cache", pictures)
    sent = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(sent[2]["image"], dataset[2]["image"])
    shutil.rmtree(tmp_path / "cache")
    assert torch.equal(sent[2]["image"], dataset[2]["image"])


def test_what_a_killed_process_left_in_a_cache_is_removed_when_it_is_opened(tmp_path, image, volume):
    _, path = kept(tmp_path, image, volume)
    leftovers = [folder / ".x.safetensors.4711.0123abcd.tmp" for folder in (path.parent, path.parent.parent)]
    for leftover in leftovers:
        leftover.write_bytes(b"half")
        os.utime(leftover, (0, 0))
    ImageCache(tmp_path / "cache", transforms())
    assert not any(leftover.exists() for leftover in leftovers)
    assert path.exists()


@pytest.mark.slow
def test_worker_processes_may_be_started_by_forkserver(tmp_path, pictures):
    """The default of Python 3.14, for which a dataset is pickled."""
    dataset = picture_dataset(tmp_path / "cache", pictures)
    loader = DataLoader(dataset, batch_size=2, num_workers=1, multiprocessing_context="forkserver")
    images = torch.cat([batch["image"] for batch in loader])
    assert torch.equal(images, torch.stack([item["image"] for item in dataset]))
