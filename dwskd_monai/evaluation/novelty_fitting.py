"""Fits the novelty score to training images, and its limits to validation images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from dwskd_monai.evaluation.conformal import checked_share, fit_set_threshold
from dwskd_monai.evaluation.fitting import patient_groups, plain_record
from dwskd_monai.evaluation.novelty import Floats, Novelty, packed, read_novelty, score_quantiles

_EXTREME = 0.01  # share at each end of a number's values that are moved to the rest before the statistics
_FLOOR = 1e-3  # of a number's standard deviation, as a share of that of all: a number may be constant


def fit_distance(training: Floats) -> Novelty:
    """The distance from descriptions ``(N, D)`` of training slices, without limits.

    Numbers are standardized. Their covariance is shrunk (Ledoit and Wolf, A well-conditioned estimator for
    large-dimensional covariance matrices, 2004), so that it can be inverted even for fewer slices than numbers. One
    percent at each end of each number's values is clipped first: a few odd training images would otherwise make room
    for all others of their kind. One mean for all classes is enough, as what an image looks like hardly depends on its
    class.

    Raises:
        ValueError: if there are fewer than two slices.
    """
    if len(training) < 2:
        raise ValueError(f"novelty: expected 2 or more training slices, got {len(training)}")
    clipped = np.clip(training, *np.quantile(training, (_EXTREME, 1 - _EXTREME), axis=0))
    center = clipped.mean(0)
    spread = clipped.std(0)
    spread = np.maximum(spread, _FLOOR * max(float(spread.mean()), _FLOOR))
    precision = np.linalg.inv(LedoitWolf(assume_centered=True).fit((clipped - center) / spread).covariance_)
    return Novelty(center, np.linalg.cholesky(precision).T / spread)


def fit_novelty(
    training: Floats,
    validation: Floats,
    studies: NDArray[np.integer],
    patients: Sequence[str | None],
    share: float = 0.95,
) -> dict[str, Any]:
    """The content of ``evidence#novelty`` in trained settings; :func:`~.novelty.read_novelty` reads it.

    The limits are those of split conformal prediction: at least ``share`` of new studies, or slices, that are drawn as
    the validation images are do not exceed them. See :func:`~dwskd_monai.evaluation.conformal.fit_set_threshold`.

    Args:
        training: ``(N, D)``, descriptions of training slices.
        validation: ``(M, D)``, descriptions of validation slices.
        studies: ``(M,)``, the study of each of them, as an index of ``patients``.
        patients: of each study; None: unknown, so the study counts as a patient.
        share: of studies like those of the training that do not exceed the limit.
    """
    checked_share("novelty", share)
    distance = packed(fit_distance(training))
    novelty = read_novelty(distance)
    scores = novelty.of_descriptions(validation)
    groups = patient_groups(patients)
    numbers = sorted(set(studies.tolist()))
    of_studies = np.array([novelty.of_study(scores[studies == number]) for number in numbers])
    return {
        "share": share,
        "training_slices": len(training),
        "studies": _limit(of_studies, [groups[number] for number in numbers], share),
        "slices": _limit(scores, [groups[number] for number in studies.tolist()], share),
        **distance,
    }


def _limit(scores: Floats, groups: Sequence[str], share: float) -> dict[str, Any]:
    found = fit_set_threshold(-scores, groups, share)
    if found.threshold is None or found.coverage is None:
        return {"n": found.n, "reason": found.reason}
    return {
        "limit": -found.threshold,
        "n": found.n,
        "reached": plain_record(found.coverage),
        "quantiles": score_quantiles(scores),
    }
