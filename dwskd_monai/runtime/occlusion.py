"""Where an exported classifier looked: how the probability of a class falls if parts of a slice are hidden."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.explanations.fading import fades
from dwskd_monai.runtime import names

if TYPE_CHECKING:
    from dwskd_monai.runtime.classifier import Classifier
    from dwskd_monai.runtime.deciding import DecidingSlice

Floats = NDArray[np.float32]


def occlusion_map(classifier: Classifier, deciding: DecidingSlice, index: int) -> Floats:
    """How much each place of a slice speaks for a class, ``(h, w)``: 64 places fade to the mean gray in turn.

    This is the map of the same name in the report of an evaluation. All 65 slices go through the graph as one image.

    Args:
        classifier: the exported classifier.
        deciding: the slice.
        index: of the class.
    """
    hiding = fades(*deciding.pixels.shape)
    faded = deciding.pixels * (1 - hiding) + _mean_gray(classifier.metadata["preprocessing"], deciding) * hiding
    slices = np.concatenate([deciding.pixels[None], faded])
    probabilities = _probabilities(classifier, slices, deciding)[:, index]
    falls = probabilities[0] - probabilities[1:]
    return np.asarray((falls[:, None, None] * hiding).sum(0) / hiding.sum(0))


def _probabilities(classifier: Classifier, slices: Floats, deciding: DecidingSlice) -> Floats:
    """Of slices that lie within the limits, ``(S, K)``."""
    preprocessing = classifier.metadata["preprocessing"]
    pixels = slices
    if preprocessing["percentiles"] is not None:
        pixels = np.concatenate([slices, _anchors(slices, deciding.limits, preprocessing["percentiles"])])
    slope, intercept = deciding.rescale
    inputs: dict[str, NDArray[Any]] = {
        names.PIXELS: pixels.astype(np.float32),
        names.SLOPE: np.array([slope], np.float32),
        names.INTERCEPT: np.array([intercept], np.float32),
        names.INVERTED: np.array(False),
        names.SPACING: np.ones(2),  # the pixels have been resized
        names.PADDING: np.array(0.0, np.float32),
    }
    return classifier.run(inputs).slices[: len(slices)]


def _anchors(slices: Floats, limits: tuple[float, float], percentiles: tuple[float, float]) -> Floats:
    """Slices that make the percentiles of all pixels those of the whole image again.

    Half of their pixels are as dark, and half as bright, as any pixel may be. If 1 % of the pixels of an image become
    black, then more than 1 % of all pixels must have the darkest value, so that this value is the percentile.
    """
    low, high = limits
    share = max(percentiles[0], 100 - percentiles[1]) / 100
    count = math.ceil(2 * share * len(slices) / (1 - 2 * share)) + 1
    anchor = np.full(slices[0].size, low, np.float32)
    anchor[slices[0].size // 2 :] = high
    return np.broadcast_to(anchor.reshape(slices[0].shape), (count, *slices[0].shape))


def _mean_gray(preprocessing: dict[str, Any], deciding: DecidingSlice) -> float:
    """The value that the normalization makes 0, in the first window if there are several."""
    if preprocessing["ranges"] is None:
        low, high = deciding.limits
        return low + preprocessing["mean"] * (high - low)
    slope, intercept = deciding.rescale
    low, high = preprocessing["ranges"][0]
    return (low + preprocessing["mean"] * (high - low) - intercept) / slope
