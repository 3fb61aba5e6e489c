"""How uncertain predictions are, and how much those of several networks disagree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

Scores = NDArray[np.float64]


def entropy(probabilities: Scores) -> Scores:
    """The entropy in nats ``(…)`` of probabilities ``(…, K)``: 0 for a certain prediction, log K for a uniform one."""
    result: Scores = entr(probabilities).sum(-1)
    return result


def disagreement(probabilities: Scores) -> Scores:
    """The entropy of the networks' mean prediction, less the mean entropy of their predictions, in nats.

    This is the mutual information of the class and the choice of the network: 0 where all predict the same, however
    uncertain it is, and log 2 where each of two is certain of another class (Houlsby et al., *Bayesian Active Learning
    by Disagreement*, arXiv 1112.5745, equation 2).

    Args:
        probabilities: ``(…, N, K)`` of N networks.

    Examples:
        >>> certain = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> float(disagreement(certain).round(4)), float(disagreement(np.full((2, 2), 0.5)))
        (0.6931, 0.0)
    """
    information = entropy(probabilities.mean(-2)) - entropy(probabilities).mean(-1)
    return np.maximum(information, 0)  # rounding


def score(probabilities: Scores) -> Scores:
    """How much a label would tell: :func:`disagreement`, or the :func:`entropy` of a network that is alone.

    Args:
        probabilities: ``(…, N, K)`` of N networks.
    """
    return disagreement(probabilities) if probabilities.shape[-2] > 1 else entropy(probabilities[..., 0, :])
