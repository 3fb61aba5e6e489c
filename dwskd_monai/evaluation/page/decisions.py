"""Net benefit: whether it is better to act on predictions than to act on each study, or on none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.resampling import Resamples, Rows

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)  # of the table


def net_benefit(
    scores: NDArray[np.floating],
    positive: NDArray[np.bool_],
    resamples: Resamples,
    thresholds: NDArray[np.floating],
) -> tuple[Rows, Rows]:
    """Net benefit (Vickers and Elkin 2006) of acting from each threshold on, and of acting on each study.

    A threshold says how many unneeded actions one needed action is worth: at 0.1 it is 9. Net benefit is the share of
    true positives minus that of false positives · threshold / (1 - threshold). Acting on no study has 0.

    Args:
        scores: ``(N,)``, calibrated probabilities of the class.
        positive: ``(N,)``, whether a study is of the class.
        resamples: of the patients.
        thresholds: ``(T,)``, above 0 and below 1.

    Returns:
        Both ``(R + 1, T)``.
    """
    acted = scores[:, None] >= thresholds
    odds = thresholds / (1 - thresholds)
    sizes = resamples.totals(np.stack([positive, ~positive], axis=1))
    count = sizes.sum(1, keepdims=True)
    hits = resamples.totals(acted & positive[:, None])
    false_alarms = resamples.totals(acted & ~positive[:, None])
    of_network = (hits - false_alarms * odds) / count
    of_all = (sizes[:, :1] - sizes[:, 1:] * odds) / count
    return of_network, of_all
