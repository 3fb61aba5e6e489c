"""From a file to the inputs of an exported classifier: what its graph cannot do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.preprocessing import fitting, intensity
from dwskd_monai.preprocessing.expectation import Expectation
from dwskd_monai.reading.image import Image
from dwskd_monai.reading.read import read_image
from dwskd_monai.reading.refusal import RefusedImage
from dwskd_monai.runtime import names

Inputs = dict[str, NDArray[Any]]
_SLICES = 8  # that are in float32 at a time


def read_expected(path: str | Path, reading: Mapping[str, Any]) -> Image:
    """The slices of an image, as the training read them.

    Args:
        path: the file, or the folder of a series.
        reading: ``reading`` of the classifier's metadata.

    Raises:
        RefusedImage: if it cannot be read, or is not of the kind that the classifier is for.
    """
    expectation = Expectation(**reading["expectation"])
    image = read_image(path, reading["slice_axis"], reading["spacing_tolerance"], expectation.problem_of_header)
    problem = expectation.of_kind(image.kind).problem(image.says, image.pixels[None])
    if problem is not None:
        raise RefusedImage(path, problem, "unexpected", image.says.get("series"), image.says.get("instance"))
    return image


def parts_of(image: Image, preprocessing: Mapping[str, Any]) -> Iterator[Image]:
    """A few slices at a time, or all of them if they depend on each other: percentiles are those of the whole image.

    Args:
        image: what was read.
        preprocessing: ``preprocessing`` of the classifier's metadata.
    """
    count = _SLICES if preprocessing["percentiles"] is None else len(image.pixels)
    for first in range(0, len(image.pixels), count):
        yield replace(image, pixels=image.pixels[first : first + count])


def rescale_of(image: Image, preprocessing: Mapping[str, Any], path: str | Path = "an image") -> tuple[float, float]:
    """Slope and intercept for the graph.

    The values of an image are rescaled and turned already, since the reader takes tables and padding into account. A
    picture that was windowed before it was saved gets the slope and intercept that lead back to the window.

    Args:
        image: what was read.
        preprocessing: ``preprocessing`` of the classifier's metadata.
        path: of the image, for messages.

    Raises:
        RefusedImage: for pixels that are not in Hounsfield units, if the classifier expects them.
    """
    if preprocessing["ranges"] is None:
        return 1.0, 0.0
    try:
        return _to_window(image, preprocessing)
    except ValueError as error:
        raise RefusedImage(path, str(error), "content") from error


def inputs_of(image: Image, rescale: tuple[float, float]) -> Inputs:
    """The inputs of the graph; some classifiers do not have all of them."""
    slope, intercept = rescale
    return {
        names.PIXELS: np.ascontiguousarray(image.pixels, np.float32),
        names.SLOPE: np.array([slope], np.float32),
        names.INTERCEPT: np.array([intercept], np.float32),
        names.INVERTED: np.array(False),
        names.SPACING: np.array(image.spacing[1:], np.float64),
        names.PADDING: np.array(image.padding, np.float32),
    }


def _to_window(image: Image, preprocessing: Mapping[str, Any]) -> tuple[float, float]:
    """Slope and intercept that make Hounsfield units of an image's values."""
    ranges, picture_range = preprocessing["ranges"], preprocessing["picture_range"]
    used = intensity.ranges_of_kind(image.kind, ranges, picture_range)
    if image.kind != intensity.PICTURE:
        return 1.0, 0.0
    (black, white), (low, high) = used[0], ranges[0]
    if image.pixels.min() < black or image.pixels.max() > white:  # as the training did, after resizing
        size, keep = preprocessing["image_size"], preprocessing["keep_aspect"]
        intensity.refuse_beyond(fitting.fit(image.pixels, image.spacing, size, keep), used[0])
    slope = (high - low) / (white - black)
    return slope, low - slope * black
