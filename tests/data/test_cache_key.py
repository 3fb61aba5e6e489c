"""Transforms that do something else have another description, and equal ones the same."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose, EnsureTyped, Lambdad, ScaleIntensityRangePercentilesd, SpatialPadd

from dwskd_monai.data.cache import ImageCache
from dwskd_monai.data.cache_key import describe
from dwskd_monai.preprocessing.transforms import FitSlicesd


def transforms(size: int = 8) -> list[object]:
    return [
        FitSlicesd(keys="image", spatial_size=size),
        EnsureTyped(keys="image", dtype=torch.float32, track_meta=False),
    ]


@pytest.mark.slow
def test_a_description_is_the_same_in_another_process_and_tells_values_apart():
    scale = ScaleIntensityRangePercentilesd(keys="image", lower=0.5, upper=99.5, b_min=0, b_max=1, clip=True)
    here = describe([*transforms(), scale])
    code = (
        "import torch; from monai.transforms import *; from dwskd_monai.preprocessing.transforms import FitSlicesd;"
        "from dwskd_monai.data.cache_key import describe; key = 'im' + 'age'[:];"
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


def times(factor: float):
    return lambda image: image * factor


def shifted(image, by=1):
    return image + by


class Values:
    def __init__(self, values: list[int]) -> None:
        self.values = values

    def index(self, value: int) -> int:
        return self.values.index(value)


PAIRS = {
    "instructions": (lambda image: image + 1, lambda image: image - 1),
    "constant": (lambda image: image * 2, lambda image: image * 3),
    "name": (lambda image: image.sum(), lambda image: image.max()),
    "closure": (times(2), times(3)),
    "default": (lambda image, by=2: image * by, lambda image, by=3: image * by),
    "nested": (lambda image: [one + 1 for one in image], lambda image: [one + 2 for one in image]),
    "partial": (functools.partial(shifted, by=1), functools.partial(shifted, by=2)),
    "function of a partial": (functools.partial(shifted, by=1), functools.partial(times(2), image=1)),
    "method": (Values([1, 2]).index, Values([1, 3]).index),
    "numbers": (np.arange(5000), np.where(np.arange(5000) == 2500, 0, np.arange(5000))),
    "tensor": (torch.zeros(3), torch.ones(3)),
    "attribute": (Lambdad("image", times(2)), Lambdad("image", times(3))),
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_does_something_else_has_another_description(name):
    one, other = PAIRS[name]
    assert describe(one) == describe(one)
    assert describe(one) != describe(other)


def test_a_lambda_of_a_config_is_told_by_what_it_does(tmp_path):
    def folder(expression: str) -> Path:
        step = {"_target_": "Lambdad", "keys": "image", "func": expression}
        return ImageCache(tmp_path, [ConfigParser({"x": step}).get_parsed_content("x")]).folder

    folders = {expression: folder(expression) for expression in ("$lambda x: x * 2", "$lambda x: x * 3", "$abs")}
    assert len(set(folders.values())) == 3
    assert folder("$lambda x: x * 2") == folders["$lambda x: x * 2"]


MODULE = """
from monai.transforms import MapTransform
import helpers
from helpers import scale
OFFSET = 1

def add(image):
    return image + OFFSET

class Base(MapTransform):
    LEVEL = 3
    def inner(self, image):
        return add(image)

class Own(Base):
    def __call__(self, data):
        return {"image": scale(self.inner(data["image"])) + helpers.level(self.LEVEL)}
"""
HELPERS = "def scale(x):\n    return x * 2\n\ndef level(x):\n    return x\n"


def own_description(folder: Path, module: str, helpers: str) -> str:
    folder.mkdir()
    (folder / "own_transform.py").write_text(module)
    (folder / "helpers.py").write_text(helpers)
    sys.path.insert(0, str(folder))
    try:
        importlib.invalidate_caches()
        return describe([importlib.import_module("own_transform").Own(keys="image")])
    finally:
        sys.path.remove(str(folder))
        for name in ("own_transform", "helpers"):
            sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("OFFSET = 1", "OFFSET = 2"),
        ("image + OFFSET", "image - OFFSET"),
        ("LEVEL = 3", "LEVEL = 4"),
        ("return add(image)", "return image"),
        ("+ helpers", "- helpers"),
        ("return x * 2", "return x * 3"),
        ("return x\n", "return x + 1\n"),
    ],
)
def test_a_transform_of_ones_own_is_told_by_its_code_and_by_what_that_uses(tmp_path, before, after):
    first = own_description(tmp_path / "first", MODULE, HELPERS)
    changed = (MODULE.replace(before, after), HELPERS.replace(before, after))
    assert changed != (MODULE, HELPERS)
    assert own_description(tmp_path / "changed", *changed) != first
    commented = (f"# moved by a line\n{MODULE}", f"\n\n{HELPERS}")
    assert own_description(tmp_path / "commented", *commented) == first, "what does the same"


def test_functions_that_use_each_other_are_described():
    def even(number):
        return number == 0 or odd(number - 1)

    def odd(number):
        return number != 0 and even(number - 1)

    assert describe(even) != describe(odd)
    assert describe(even) == describe(even)
