from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from monai.transforms import Compose, EnsureTyped, ScaleIntensityRangePercentilesd, SpatialPadd

from dwskd_monai.data.cache import ImageCache, describe
from dwskd_monai.preprocessing.transforms import FitSlicesd


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
    assert cache.length(path) is None
    cache.save(path, volume)
    cache.save_index()
    return cache, path


def test_slices_come_back_exactly(tmp_path, image, volume):
    cache, path = kept(tmp_path, image, volume)
    assert cache.length(path) == 5
    for index in range(5):
        assert torch.equal(cache.slice_of(path, index), volume[:, index])


def test_a_file_is_found_by_its_content_wherever_it_lies(tmp_path, image, volume):
    _, path = kept(tmp_path, image, volume)
    (tmp_path / "moved").mkdir()
    moved = image.rename(tmp_path / "moved" / "other.nii")
    assert ImageCache(tmp_path / "cache", transforms()).path_of(moved) == path
    moved.write_bytes(b"CONTENT")
    assert ImageCache(tmp_path / "cache", transforms()).path_of(moved) != path


def test_a_series_is_found_by_all_its_files(tmp_path):
    (tmp_path / "series").mkdir()
    for name in "ab":
        (tmp_path / "series" / name).write_text(name)
    cache = ImageCache(tmp_path / "cache", transforms())
    before = cache.path_of(tmp_path / "series")
    (tmp_path / "series" / "c").write_text("c")
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
    assert cache.length(path) is None
    cache.save(path, volume)
    assert cache.length(path) == 5


def test_a_damaged_index_costs_nothing_but_time(tmp_path, image, volume):
    _, path = kept(tmp_path, image, volume)
    for content in ("{", "[1]", ""):
        (tmp_path / "cache" / "index.json").write_text(content)
        assert ImageCache(tmp_path / "cache", transforms()).path_of(image) == path


def test_a_folder_that_cannot_be_written_is_named(tmp_path, image, volume):
    (tmp_path / "cache").write_text("a file")
    cache = ImageCache(tmp_path / "cache", transforms())
    with pytest.raises(OSError, match="cache"):
        cache.save(cache.path_of(image), volume)


@pytest.mark.slow
def test_a_description_is_the_same_in_another_process_and_tells_values_apart():
    scale = ScaleIntensityRangePercentilesd(keys="image", lower=0.5, upper=99.5, b_min=0, b_max=1, clip=True)
    here = describe([*transforms(), scale])
    code = (
        "import torch; from monai.transforms import *; from dwskd_monai.preprocessing.transforms import FitSlicesd;"
        "from dwskd_monai.data.cache import describe; key = 'im' + 'age'[:];"
        "print(describe([FitSlicesd(keys=key, spatial_size=8),"
        "EnsureTyped(keys=[key], dtype=torch.float32, track_meta=False),"
        "ScaleIntensityRangePercentilesd(keys=key, lower=0.5, upper=99.5, b_min=0, b_max=1, clip=True)]))"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert here == elsewhere
    narrower = ScaleIntensityRangePercentilesd(keys="image", lower=0.6, upper=99.5, b_min=0, b_max=1, clip=True)
    assert describe([*transforms(), narrower]) != here


def test_a_description_is_the_same_before_and_after_use():
    steps = [*transforms(), SpatialPadd(keys="image", spatial_size=[-1, 9, 9])]
    before = describe(steps)
    Compose(steps)({"image": torch.zeros(1, 2, 8, 8)})
    assert describe(steps) == before


def test_what_has_no_lasting_description_is_refused():
    with pytest.raises(TypeError, match="has another name in each run"):
        describe([object()])
