"""From the predictions of a study's slices to the prediction of the study."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]


def mean(probabilities: Probabilities) -> Probabilities:
    """The mean ``(K,)`` over the slices ``(S, K)``."""
    return probabilities.mean(0)


def max(probabilities: Probabilities) -> Probabilities:
    """The largest probability of each class over the slices ``(S, K)``, divided by the sum of these: ``(K,)``.

    This finds a class that few slices show, but also one that few slices only seem to show: slices without the disease
    have large probabilities for the class of healthy studies.
    """
    return top_k(probabilities, 1)


def top_k(probabilities: Probabilities, k: int) -> Probabilities:
    """The mean of each class's k largest probabilities over the slices ``(S, K)``, divided by their sum: ``(K,)``.

    This lies between :func:`max` (k = 1) and :func:`mean` (k = S); studies with fewer than k slices get their mean.
    """
    largest = np.sort(probabilities, axis=0)[-k:].mean(0)
    return largest / largest.sum()


METHODS = ("mean", "max", "top_k")


@dataclass(frozen=True)
class Aggregation:
    """How the predictions of slices become the prediction of their study: a method by its name.

    Args:
        method: ``mean``, ``max`` or ``top_k``.
        k: how many slices ``top_k`` takes into account for each class.

    Raises:
        ValueError: for another method, or k < 1.

    Examples:
        >>> slices = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]])
        >>> Aggregation("mean")(slices).round(2).tolist()
        [0.6, 0.4]
        >>> Aggregation("max")(slices).round(2).tolist()
        [0.5, 0.5]
        >>> Aggregation("top_k", k=2)(slices).round(2).tolist()
        [0.61, 0.39]
    """

    method: str = "mean"
    k: int = 5

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"aggregate must be one of {', '.join(METHODS)}; got {self.method!r}")
        if self.k < 1:
            raise ValueError(f"top_k must be 1 or more slices, got {self.k}")

    def __call__(self, probabilities: Probabilities) -> Probabilities:
        """Probabilities ``(K,)`` of a study from those of its slices ``(S, K)``; each sums to 1."""
        if self.method == "top_k":
            return top_k(probabilities, self.k)
        return max(probabilities) if self.method == "max" else mean(probabilities)
