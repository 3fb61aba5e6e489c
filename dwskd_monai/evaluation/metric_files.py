"""Metrics as files: JSON, which can be read again, CSV, and the confusion matrix as a figure."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from dwskd_monai.evaluation.evidence import applied
from dwskd_monai.evaluation.metrics import CLASS_METRICS, OVERALL_METRICS, ClassificationMetrics, as_text
from dwskd_monai.files import replacing


def write_metrics(
    levels: Mapping[str, ClassificationMetrics],
    output_dir: str | Path,
    origin: Mapping[str, Any] | None = None,
    report: Mapping[str, Any] | None = None,
) -> None:
    """Write ``metrics.json``, ``metrics.csv``, ``confusion_matrix.csv`` and ``confusion_matrix.png``.

    Args:
        levels: metrics of ``study``, and optionally of ``slice``.
        output_dir: folder of the files.
        origin: which network made the predictions, for ``metrics.json``.
        report: numbers with intervals, for ``report`` of ``metrics.json``; None: there are none.
    """
    folder = Path(output_dir)
    content = {**(origin or {}), **{name: _as_json(metrics) for name, metrics in levels.items()}}
    if report is not None:
        content["report"] = dict(report)
    with replacing(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(_without_nan(content), indent=2) + "\n")
    with replacing(folder / "metrics.csv") as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows(metric_rows(levels))
    metrics = levels["study"]
    with replacing(folder / "confusion_matrix.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["true \\ predicted", *metrics.class_names])
        writer.writerows([name, *row] for name, row in zip(metrics.class_names, metrics.confusion.tolist()))
    with replacing(folder / "confusion_matrix.png") as temporary:
        confusion_figure(metrics).savefig(temporary, format="png", dpi=150)


def read_metrics(path: Path) -> dict[str, Any]:
    """The content of an evaluation's ``metrics.json``.

    Raises:
        FileNotFoundError: if it does not exist.
        ValueError: if the file is something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"metrics: {path} does not exist; evaluate.yaml writes metrics.json into output_dir")
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        content["study"]["overall"]["count"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"metrics: {path} is not a metrics.json of evaluate.yaml ({error!r})") from error
    return content


class Settings(Protocol):
    """What a network was trained with; see ``bundle.TrainedSettings``."""

    sha256: str | None
    evidence: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        """A setting."""


def check_metrics(metrics: Mapping[str, Any], settings: Settings, weights: str | Path) -> None:
    """Refuse metrics that do not tell how good a network is.

    Args:
        metrics: content of ``metrics.json``.
        settings: of the network.
        weights: their file, for the message.

    Raises:
        ValueError: if the metrics are of another network, or of images that it was trained on, or if probabilities and
            thresholds are others than those of the network.
    """
    if metrics.get("weights_sha256") != settings.sha256:
        raise ValueError(
            f"metrics: these are of another network, whose weights have the digest {metrics.get('weights_sha256')}; "
            f"{weights} has {settings.sha256}; evaluate this network"
        )
    if metrics.get("trained_images"):
        raise ValueError("metrics: measured on images that the network was trained on; evaluate it on other images")
    aggregation = settings["aggregation"]
    measured = metrics.get("aggregation", aggregation)  # earlier versions wrote none
    compared = ("method", "k") if aggregation.get("method") == "top_k" else ("method",)
    if any(measured.get(key) != aggregation.get(key) for key in compared):
        raise ValueError(
            f"metrics: slices became studies by {measured.get('method')} in this evaluation, but by "
            f"{aggregation.get('method')} in the settings of {weights}; evaluate it without --aggregate and --top_k"
        )
    own = _as_written(applied(settings.evidence))
    if metrics.get("evidence", own) != own:
        raise ValueError(
            f"metrics: measured with other calibration, operating points or prediction sets than {weights} has now, "
            "such as before dwskd calibrate, or without them; evaluate it again"
        )


def _as_written(content: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(_without_nan(content)))


def metric_rows(levels: Mapping[str, ClassificationMetrics]) -> Iterator[list[str]]:
    """The rows of ``metrics.csv``: names, then for each level one row per class and one for all classes."""
    columns = list(dict.fromkeys([*(metric.name for metric in CLASS_METRICS), *(m.column for m in OVERALL_METRICS)]))
    yield ["level", "class", *columns]
    for level, metrics in levels.items():
        rows = dict(metrics.per_class)
        rows["all"] = {metric.column: metrics.overall[metric.name] for metric in OVERALL_METRICS}
        for name, values in rows.items():
            yield [level, name, *(as_text(values[column]) if column in values else "" for column in columns)]


def confusion_figure(metrics: ClassificationMetrics) -> Figure:
    """The confusion matrix as a heat map: the shade is the share of the true class, the text has counts and percent."""
    counts = metrics.confusion
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.2 + 1.1 * len(metrics.class_names)
    figure = Figure(figsize=(side + 0.8, side), layout="compressed")
    axes = figure.subplots()
    display = ConfusionMatrixDisplay(share, display_labels=metrics.class_names)
    display.plot(ax=axes, cmap="Blues", colorbar=False, xticks_rotation=30, im_kw={"vmin": 0, "vmax": 1})
    for place, text in np.ndenumerate(display.text_):
        # with counts; and scikit-learn's color depends on the largest share, and is unreadable on pale cells
        text.set_text(f"{counts[place]}\n{share[place]:.0%}")
        text.set_color("white" if share[place] > 0.6 else "black")
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(_title(metrics))
    figure.colorbar(display.im_, ax=axes, fraction=0.046, pad=0.04, label="share of the true class")
    return figure


def _title(metrics: ClassificationMetrics) -> str:
    accuracy = metrics.overall["balanced_accuracy"]
    auc = metrics.overall["macro_auc"]
    shown = "undefined" if math.isnan(accuracy) else f"{accuracy:.1%}"
    title = f"balanced accuracy {shown}, macro AUC {'undefined' if math.isnan(auc) else f'{auc:.3f}'}"
    return title + (f"\nno image of {', '.join(metrics.missing_classes)}" if metrics.missing_classes else "")


def _as_json(metrics: ClassificationMetrics) -> dict[str, Any]:
    return {
        "overall": metrics.overall,
        "missing_classes": metrics.missing_classes,
        "per_class": metrics.per_class,
        "confusion": metrics.confusion.tolist(),
    }


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: undefined values become null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
