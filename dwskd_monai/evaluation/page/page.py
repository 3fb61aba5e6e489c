"""``report.html``: one file that needs no other file and no network."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dwskd_monai.evaluation.html.rendering import render
from dwskd_monai.evaluation.metrics import ClassificationMetrics
from dwskd_monai.evaluation.page.content import Measurements
from dwskd_monai.evaluation.page.drawings import drawings
from dwskd_monai.evaluation.page.network import Trained, in_words
from dwskd_monai.evaluation.page.rates import LABELS
from dwskd_monai.evaluation.page.words import SPLITS, calibration_text
from dwskd_monai.evaluation.shortcuts.telling import RULE
from dwskd_monai.files import replacing

_TEMPLATE = Path(__file__).with_name("page.html.jinja")
_PACKAGES = ("dwskd_monai", "monai", "torch", "scikit-learn", "numpy")
_NOT_SAID = "images that were given to the evaluation"
_MACRO = {"auc": "AUC", "average_precision": "average precision", **LABELS}


def write_page(
    path: Path,
    measured: Measurements,
    metrics: ClassificationMetrics,
    origin: Mapping[str, Any],
    trained: Trained,
) -> None:
    """Write the page.

    Args:
        path: of the file.
        measured: the numbers of the report.
        metrics: of the studies, for the confusion matrix.
        origin: which network made the predictions, as ``metrics.json`` has it.
        trained: the trained settings of the network.
    """
    page = render(
        _TEMPLATE,
        content=measured.content,
        pictures=drawings(measured),
        names=measured.class_names,
        confusion=metrics.confusion.tolist(),
        origin=origin,
        split=SPLITS.get(origin["split"], _NOT_SAID),
        calibration=calibration_text(origin["evidence"]),
        network=in_words(trained, origin["weights_sha256"]),
        labels=LABELS,
        shortcut_rule=RULE,
        explained=measured.explained,
        failure_pictures=[] if measured.explained is None else [*measured.explained.failures.values()],
        macro_labels=_MACRO,
        versions=", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
