"""The slices of an image that speak most for the classes, as the network gets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.preprocessing import fitting, intensity
from dwskd_monai.reading.image import Image

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class DecidingSlice:
    """One slice of an image.

    Args:
        path: of the image.
        number: of the slice, from 0.
        count: of the slices of the image.
        plane: in which it was cut; None: unknown.
        pixels: ``(h, w)``, resized as for the network; black and white are the ends of ``limits``.
        limits: the values that become black and white in the network's input.
        height, width: of the slice, in mm, or in pixels if their size is unknown.
        rescale: slope and intercept, for the graph.
    """

    path: Path
    number: int
    count: int
    plane: str | None
    pixels: Pixels
    limits: tuple[float, float]
    height: float
    width: float
    rescale: tuple[float, float] = (1.0, 0.0)


def deciding_slices(
    path: str | Path,
    image: Image,
    rescale: tuple[float, float],
    preprocessing: Mapping[str, Any],
    probabilities: NDArray[np.floating],
) -> tuple[DecidingSlice, ...]:
    """For each class, the slice with its highest probability.

    Args:
        path: of the image.
        image: what was read.
        rescale: slope and intercept, for the graph.
        preprocessing: ``preprocessing`` of the classifier's metadata.
        probabilities: ``(D, K)`` of the slices.
    """
    numbers = probabilities.argmax(0).tolist()
    size, keep_aspect = preprocessing["image_size"], preprocessing["keep_aspect"]
    slope, intercept = rescale
    if preprocessing["ranges"] is not None:
        shown = {
            number: fitting.fit(image.pixels[number : number + 1], image.spacing, size, keep_aspect)[0]
            for number in set(numbers)
        }
        lows, highs = zip(*preprocessing["ranges"], strict=True)
        limits = ((min(lows) - intercept) / slope, (max(highs) - intercept) / slope)
    else:  # all slices decide what is black and white
        slices = fitting.fit(image.pixels, image.spacing, size, keep_aspect)
        shown = {number: slices[number] for number in set(numbers)}
        lower, upper = preprocessing["percentiles"]
        limits = intensity.percentiles(slices, lower, upper, image.padding)
    rows, columns = image.pixels.shape[1:]
    deciding = {
        number: DecidingSlice(
            path=Path(path),
            number=number,
            count=len(image.pixels),
            plane=image.plane,
            pixels=np.clip(fitted, *limits).astype(np.float32),
            limits=limits,
            height=rows * image.spacing[1],
            width=columns * image.spacing[2],
            rescale=rescale,
        )
        for number, fitted in shown.items()
    }
    return tuple(deciding[number] for number in numbers)
