"""What an exported classifier does with the pixels of an image, taken from the transforms of the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from monai.transforms import CopyItemsd, EnsureTyped

from dwskd_monai.preprocessing import (
    ExpectImaged,
    FitSlicesd,
    LoadSlicesd,
    NormalizeSlicesd,
    PadSlicesd,
    ScalePercentilesd,
    WindowHounsfieldd,
)
from dwskd_monai.preprocessing.expectation import Expectation

_BEFORE = (CopyItemsd, LoadSlicesd, ExpectImaged)  # the graph
_EXPECTED = (FitSlicesd, (ScalePercentilesd, WindowHounsfieldd), PadSlicesd, NormalizeSlicesd, EnsureTyped)
_ADVICE = "export the network alone, and prepare its input yourself: --format onnx_network"


@dataclass(frozen=True)
class Steps:
    """The numbers of the preprocessing.

    Args:
        image_size: side of the network's input in pixels.
        keep_aspect: whether slices are scaled by their size in mm and padded; False: they are stretched to the square.
        mean: of the normalization.
        std: of the normalization.
        ranges: black and white of each channel; None if percentiles of the image are taken.
        percentiles: those of the image that become black and white; None if ranges are given.
        picture_range: black and white of pictures that were windowed before they were saved, if there are ranges; None:
            such pictures are refused.
    """

    image_size: int
    keep_aspect: bool
    mean: float
    std: float
    ranges: Sequence[tuple[float, float]] | None = None
    percentiles: tuple[float, float] | None = None
    picture_range: Sequence[float] | None = None


@dataclass(frozen=True)
class Reading:
    """How a file becomes the slices that the graph takes.

    Args:
        slice_axis: how a volume is cut.
        spacing_tolerance: share by which distances between slices may differ.
        expectation: which images the classifier is for.
        preprocessing_version: of the code that reads.
    """

    slice_axis: str
    spacing_tolerance: float
    expectation: Expectation
    preprocessing_version: int


def reading_of(transforms: Sequence[Any]) -> Reading:
    """How the first of the transforms read.

    Raises:
        ValueError: if there is no reader of this package among them.
    """
    loading = next((one for one in transforms if isinstance(one, LoadSlicesd)), None)
    if loading is None:
        raise ValueError(f"study_transforms: no {LoadSlicesd.__name__}, so how files are read is unknown; {_ADVICE}")
    expecting = next((one.expectation for one in transforms if isinstance(one, ExpectImaged)), loading.expectation)
    return Reading(loading.slice_axis, loading.spacing_tolerance, expecting, loading.version)


def steps_of(transforms: Sequence[Any]) -> Steps:
    """The steps of transforms that lead from the files of an image to the network's input.

    Args:
        transforms: of the trained settings.

    Raises:
        ValueError: if they are not those of this package, in its order; the message names the first that is not.
    """
    of_pixels = [one for one in transforms if not isinstance(one, _BEFORE)]
    for index, one in enumerate(of_pixels):
        if index >= len(_EXPECTED) or not isinstance(one, _EXPECTED[index]):
            raise ValueError(f"study_transforms: {type(one).__name__} cannot become a part of the file; {_ADVICE}")
    if len(of_pixels) < len(_EXPECTED):
        raise ValueError(
            f"study_transforms: {len(_EXPECTED) - len(of_pixels)} of its transforms are missing; {_ADVICE}"
        )
    fit, intensity, pad, normalize, _ = of_pixels
    if pad.spatial_size != fit.spatial_size:
        raise ValueError(f"study_transforms: slices of {fit.spatial_size} are padded to {pad.spatial_size}; {_ADVICE}")
    steps = Steps(fit.spatial_size, fit.keep_aspect, normalize.mean, normalize.std)
    if isinstance(intensity, WindowHounsfieldd):
        return replace(steps, ranges=intensity.ranges, picture_range=intensity.picture_range)
    return replace(steps, percentiles=(intensity.lower, intensity.upper))
