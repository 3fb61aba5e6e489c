"""Facts of bundles that do not exist, with evaluations whose predictions are made up."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from dwskd_monai.evaluation.cards.facts import Facts
from dwskd_monai.evaluation.metrics import classification_metrics
from dwskd_monai.evaluation.page.content import measure
from dwskd_monai.evaluation.page.network import Trained
from tests.conftest import BUNDLES
from tests.evaluation.page.made import NAMES, evaluated
from tests.evaluation.page.test_novelty import evidence
from tests.evaluation.page.test_page import origin_of

SETTINGS = {
    "network_def": {"model_name": "convnext_atto"},
    "image_size": 64,
    "keep_aspect": False,
    "study_transforms": [],
    "deploy": "better",
    "aggregate": "mean",
}
TRAINING = {
    "best": {"epoch": 6, "metric": "balanced_accuracy", "value": 0.91},
    "images": {"training": ["a", "b"], "validation": ["c"]},
    "refused_images": {"training": 1, "validation": 0},
    "teacher": {"model_name": "convnext_pico", "sha256": None},
    "overrides": {"max_epochs": 12},
    "versions": {"torch": "2.8"},
    "train_fraction": 1.0,
    "seed": 0,
    "fold": 0,
    "folds": 5,
}


def metrics_of(one: Any, **given: Any) -> dict[str, Any]:
    """What ``metrics.json`` has of an evaluation."""
    origin = origin_of(one, given)
    metrics = classification_metrics(one.calibrated, one.labels, one.class_names)
    study = {
        "overall": metrics.overall,
        "per_class": metrics.per_class,
        "missing_classes": metrics.missing_classes,
        "confusion": metrics.confusion.tolist(),
    }
    content = origin | {"study": study, "report": measure(one, origin).content}
    return json.loads(json.dumps(content))  # plain values, as in the file


def facts(classes: int = 3, metrics: dict[str, Any] | None = None, **changed: Any) -> Facts:
    """Facts of a chest X-ray bundle with so many classes; without metrics, it was not evaluated."""
    metadata = json.loads((BUNDLES[0] / "configs" / "metadata.json").read_text())
    page = (BUNDLES[0] / "docs" / "README.md").read_text()
    of_bundle = Facts(metadata, NAMES[:classes], Trained(SETTINGS, TRAINING), "0f", 3_374_203, page, metrics)
    return dataclasses.replace(of_bundle, **changed)


def evaluated_facts(classes: int = 3, **changed: Any) -> Facts:
    """Facts with an evaluation of studies of two sites, of women and men, some of which are unlike the training."""
    one = evaluated(160, classes, per_patient=1, signal=2.0)
    columns = {"sex": ["F", "M"] * 80, "site": ["A"] * 60 + ["B"] * 100}
    scores = [1.0] * 140 + [2.0] * 20
    one = dataclasses.replace(one, columns=columns, novelty=scores, evidence=evidence())
    return facts(**{"classes": classes, "metrics": metrics_of(one)} | changed)
