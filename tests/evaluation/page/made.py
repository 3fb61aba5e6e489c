"""Evaluations whose predictions are made up: the probability of the true class is usually the highest."""

from __future__ import annotations

import numpy as np

from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.page.content import Evaluated

NAMES = ("healthy", "ill", "very ill", "other")
ORIGIN = {
    "weights_sha256": "0f",
    "split": "test",
    "trained_images": False,
    "fitted_images": 0,
    "refused_images": 0,
    "unusual_planes": {},
    "evidence": {"applied": False, "reason": "evidence is null"},
}


def evaluated(count=120, classes=3, slices=1, missing=(), per_patient=2, evidence=None, seed=0, signal=1.5):
    """Studies of which so many in a row are of one patient; None: patients are unknown."""
    random = np.random.default_rng(seed)
    labels = random.choice([index for index in range(classes) if index not in missing], count)
    logits = random.normal(size=(count, slices, classes))
    logits[np.arange(count), :, labels] += signal
    of_slices = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return Evaluated(
        studies=[f"study_{number}.png" for number in range(count)],
        probabilities=of_slices.mean(1),
        labels=labels,
        patients=[None if per_patient is None else f"P{number // per_patient}" for number in range(count)],
        slices=list(of_slices),
        class_names=NAMES[:classes],
        evidence=Evidence() if evidence is None else evidence,
    )
