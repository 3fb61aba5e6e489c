"""How unlike the training images an image is, by what it looks like: the layout, the grays and the detail of a slice.

The score is the Mahalanobis distance between a description of the network's input and those of the training images. It
needs no network, so each format of it, and a program without torch, says the same: only numpy is imported.
:mod:`~dwskd_monai.evaluation.novelty_fitting` fits it.

The distance in the pooled features of a network is the usual way (Lee et al., A Simple Unified Framework for Detecting
Out-of-Distribution Samples, NeurIPS 2018). Small networks that were trained on few images forget what does not tell
their classes apart: there, Mahalanobis, k nearest neighbors and ViM missed most images of another kind, which this
description finds (``benchmarks/novelty.py``). The library pytorch-ood has these scores for features, and needs torch.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEVELS = 4  # sizes of the image, each half of the one before it, in which detail is measured
SMALLEST = 4  # pixels of a side
LAYOUT_LEVEL = 2  # of layout and grays: a quarter of the size
CELLS = 3  # of a side; with more, a patient who lies a little differently is unlike the others
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_ROWS = 56  # in which detail is measured
_SHOWN = (5, 25, 50, 75, 95)  # percent, of scores
ARRAYS = ("center", "whitening")  # of the distance, in its record
FLAT = 1e-3  # added to the detail of standardized intensities, so that an empty slice has a logarithm


def describe_slices(slices: NDArray[np.floating]) -> Floats:
    """What slices ``(N, C, H, W)`` of 4 × 4 pixels or more look like, as the network gets them: numbers ``(N, D)``.

    Of each channel: the mean gray in each of 3 × 3 cells; seven quantiles of the grays; and, at full, half, quarter and
    eighth size, the logarithm of the mean absolute difference between neighbors in a row, between neighbors in a
    column, and of these differences' differences. The detail tells blur and noise, the layout tells what is shown and
    how it lies.

    Examples:
        >>> describe_slices(np.zeros((2, 1, 96, 96))).shape
        (2, 28)
    """
    pixels = np.asarray(slices, dtype=np.float32)
    levels = [pixels]
    while len(levels) < LEVELS and min(levels[-1].shape[2:]) >= 2 * SMALLEST:
        levels.append(_halved(levels[-1]))
    coarse = levels[min(LAYOUT_LEVEL, len(levels) - 1)]
    parts = [_cells(coarse), _quantiles(coarse), *map(_detail, levels)]
    return np.concatenate(parts, axis=2).reshape(len(pixels), -1).astype(np.float64)


def _halved(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The means of squares of 2 × 2 pixels; a last odd row or column is left out."""
    height, width = (side // 2 * 2 for side in pixels.shape[2:])
    even = pixels[..., :height, :width]
    rows = even[..., ::2, :] + even[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) * np.float32(0.25)


def _cells(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The means of 3 × 3 cells: ``(N, C, 9)``."""
    for axis in (2, 3):
        side = pixels.shape[axis]
        starts = np.arange(CELLS) * side // CELLS
        counts = np.diff(starts, append=side).astype(np.float32)
        pixels = np.add.reduceat(pixels, starts, axis) / np.expand_dims(counts, 1 if axis == 2 else 0)
    return pixels.reshape(*pixels.shape[:2], -1)


def _quantiles(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(N, C, 7)``; without interpolation, which takes longer than the rest."""
    grays = np.sort(pixels.reshape(*pixels.shape[:2], -1), axis=2)
    return np.asarray(grays[..., quantile_places(grays.shape[2])])


def quantile_places(count: int) -> NDArray[np.int64]:
    """The places of the quantiles among ``count`` grays in their order."""
    return np.round(np.multiply(_QUANTILES, count - 1)).astype(np.int64)


def _detail(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(N, C, 3)``; at 56 rows or a few more of a large image, which tell as much as all rows."""
    height = pixels.shape[2]
    step = row_step(height)
    rows, next_rows, third_rows = (pixels[:, :, first : height - 2 + first : step] for first in range(3))
    along_row = np.diff(rows, axis=3)
    along_column = next_rows - rows
    second_in_row = np.diff(along_row, axis=3)
    second_in_column = third_rows - next_rows - along_column
    means = [np.abs(each).mean((2, 3)) for each in (along_row, along_column, second_in_row, second_in_column)]
    detail = np.stack([means[0], means[1], means[2] + means[3]], axis=2)
    return np.log(detail + np.float32(FLAT))


def row_step(height: int) -> int:
    """Of how many rows one is looked at."""
    return max(1, height // _ROWS)


@dataclass(frozen=True)
class Novelty:
    """The distance from the training images, about 1 for one of them, and from which on an image is unlike them.

    Args:
        center: ``(D,)``, the mean description.
        whitening: ``(D, D)``; its product with a difference from the center has the length of their distance.
        slice_limit: the score that 95 % of slices like those of the training do not exceed; None: too few to tell.
        study_limit: likewise of studies.

    Examples:
        >>> float(Novelty(np.zeros(2), np.eye(2)).of_descriptions(np.array([[3.0, 3.0]]))[0])
        3.0
    """

    center: Floats
    whitening: Floats
    slice_limit: float | None = None
    study_limit: float | None = None

    def of_slices(self, slices: NDArray[np.floating]) -> Floats:
        """Scores ``(N,)`` of slices ``(N, C, H, W)``, as the network gets them.

        Raises:
            ValueError: if slices have another number of channels, or another size, than those of the training.
        """
        return self.of_descriptions(describe_slices(slices))

    def of_descriptions(self, descriptions: Floats) -> Floats:
        """Scores ``(N,)`` of what :func:`describe_slices` gives: the root of the mean squared whitened difference."""
        if descriptions.shape[1] != len(self.center):
            raise ValueError(
                f"novelty: expected {len(self.center)} numbers for a slice, as in the training, got "
                f"{descriptions.shape[1]}: the image has another number of channels, or another size"
            )
        whitened = (descriptions - self.center) @ self.whitening.T
        return np.asarray(np.sqrt((whitened**2).mean(1)))

    def of_study(self, slice_scores: NDArray[np.floating]) -> float:
        """The score of a study: the mean of its slices', as by default for its probabilities.

        The maximum would be that of one odd slice, and grow with the number of slices; the median would not see that a
        third of a study is spoiled.
        """
        return float(np.mean(slice_scores))


def score_quantiles(scores: Floats) -> dict[str, float]:
    """How scores are distributed: those that 5, 25, 50, 75 and 95 % do not exceed.

    Examples:
        >>> score_quantiles(np.arange(101) / 100)
        {'5': 0.05, '25': 0.25, '50': 0.5, '75': 0.75, '95': 0.95}
    """
    return {str(percent): round(float(np.percentile(scores, percent)), 4) for percent in _SHOWN}


def packed(novelty: Novelty) -> dict[str, str]:
    """The arrays of a distance as text, in single precision; :func:`read_novelty` reads them."""
    return {name: _as_text(getattr(novelty, name)) for name in ARRAYS}


def read_novelty(content: Mapping[str, Any]) -> Novelty:
    """What :func:`~dwskd_monai.evaluation.novelty_fitting.fit_novelty` made.

    Raises:
        ValueError: if something is missing in the content, or damaged.
    """
    try:
        center, whitening = (_as_array(content[name]) for name in ARRAYS)
        whitening = whitening.reshape(len(center), len(center))
        limits = [content.get(level, {}).get("limit") for level in ("slices", "studies")]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"novelty in the trained settings is incomplete: {error!r}; copy the file again") from error
    return Novelty(center, whitening, *limits)


def _as_text(array: Floats) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode("ascii")


def _as_array(text: str) -> Floats:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float64)
