"""What an exported classifier does is taken from the transforms of the training; others are refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from monai.transforms import CopyItemsd, EnsureTyped, Flipd

from dwskd_monai.commands.export.graph.steps import Steps, reading_of, steps_of
from dwskd_monai.preprocessing import (
    ExpectImaged,
    FitSlicesd,
    LoadSlicesd,
    NormalizeSlicesd,
    PadSlicesd,
    ScalePercentilesd,
    WindowHounsfieldd,
)

BEFORE = [
    CopyItemsd("image", names="file"),
    LoadSlicesd("image", slice_axis="axial", spacing_tolerance=0.1, expected={"modality": ["CT"]}),
    ExpectImaged("image", expected={"modality": ["CT"]}, most_slices=9, hounsfield=True, accept=["slices=any"]),
]
FIT = FitSlicesd("image", spatial_size=64, keep_aspect=False)
AFTER = [
    PadSlicesd("image", spatial_size=64),
    NormalizeSlicesd("image", mean=0.4, std=0.2),
    EnsureTyped("image", dtype=np.float32),
]
WINDOW = WindowHounsfieldd("image", windows=[[1500, -600], [400, 40]], picture_range=[0, 255])


def test_the_numbers_are_those_of_the_transforms():
    ranges = [(-1350.0, 150.0), (-160.0, 240.0)]
    windowed = steps_of([*BEFORE, FIT, WINDOW, *AFTER])
    assert windowed == Steps(64, False, 0.4, 0.2, ranges=ranges, picture_range=[0, 255])
    ranked = steps_of([*BEFORE, FIT, ScalePercentilesd("image", 2, 98), *AFTER])
    assert ranked == Steps(64, False, 0.4, 0.2, percentiles=(2, 98))


def test_reading_is_that_of_the_transforms():
    reading = reading_of(BEFORE)
    assert (reading.slice_axis, reading.spacing_tolerance) == ("axial", 0.1)
    assert reading.expectation.most_slices == 9
    assert reading.expectation.hounsfield
    assert reading.expectation.accept == ["slices=any"]
    assert reading_of(BEFORE[:2]).expectation.expected == {"modality": ["CT"]}


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ([*BEFORE, FIT, Flipd("image", 0), *AFTER], "Flipd cannot become a part of the file"),
        ([*BEFORE, FIT, WINDOW, *AFTER, Flipd("image", 0)], "Flipd cannot become"),
        ([*BEFORE, FIT, WINDOW], "3 of its transforms are missing"),
        ([*BEFORE, FIT, WINDOW, PadSlicesd("image", 96), *AFTER[1:]], "slices of 64 are padded to 96"),
    ],
)
def test_what_cannot_be_written_is_named_with_the_way_out(transforms, message):
    with pytest.raises(ValueError, match=f"study_transforms: .*{message}.*--format onnx_network"):
        steps_of(transforms)


def test_images_of_an_unknown_reader_are_refused():
    with pytest.raises(ValueError, match="no LoadSlicesd, so how files are read is unknown"):
        reading_of([FIT])
