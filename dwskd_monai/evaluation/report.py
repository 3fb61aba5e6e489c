"""Handlers that write what an evaluator predicted, and how good it was, into files."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from ignite.engine import Engine, Events
from matplotlib.figure import Figure
from monai.utils.enums import CommonKeys

from dwskd_monai.evaluation.metrics import ClassificationMetrics, classification_metrics
from dwskd_monai.files import replacing

FILE_KEY = "file"
_logger = logging.getLogger(__name__)


class PredictionWriter:
    """Write one CSV row per image: file, predicted class, one probability per class.

    ``monai.handlers.ClassificationSaver`` writes neither a header nor class names.

    Args:
        output_dir: folder of ``predictions.csv``.
        class_names: names in the order of the network's outputs, or metadata's ``channel_def``.

    The evaluator's batches need the key ``file`` (``CopyItemsd`` of ``image`` before it is loaded), its
    postprocessing must give probabilities ``(C,)`` in ``pred``.
    """

    def __init__(self, output_dir: str | Path, class_names: Sequence[str] | Mapping[str, str]) -> None:
        self.output_dir = Path(output_dir)
        self.class_names = list(class_names.values() if isinstance(class_names, Mapping) else class_names)
        self._rows: list[tuple[str, np.ndarray]] = []
        self._labels: list[int] = []

    def attach(self, engine: Engine) -> None:
        """Collect after each iteration, write at the end."""
        engine.add_event_handler(Events.STARTED, self._reset)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def _reset(self, engine: Engine) -> None:
        self._rows, self._labels = [], []

    def _collect(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        output: Any = engine.state.output
        for item, result in zip(batch, output, strict=True):
            probabilities = np.asarray(result[CommonKeys.PRED].detach().cpu(), dtype=np.float64)
            if probabilities.shape != (len(self.class_names),):
                raise ValueError(
                    f"{item[FILE_KEY]}: the network has {probabilities.shape[-1]} outputs, the metadata "
                    f"{len(self.class_names)} classes ({', '.join(self.class_names)})"
                )
            if not np.isfinite(probabilities).all():
                raise FloatingPointError(f"{item[FILE_KEY]}: the network's prediction is not finite: {probabilities}")
            self._rows.append((str(item[FILE_KEY]), probabilities))
            label = result.get(CommonKeys.LABEL)
            if label is not None:
                self._labels.append(int(label))

    def write(self, engine: Engine) -> None:
        """Write ``predictions.csv``."""
        path = self.output_dir / "predictions.csv"
        labelled = len(self._labels) == len(self._rows)
        with replacing(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([FILE_KEY, *(["label"] if labelled else []), "predicted", *self.class_names])
            for index, (name, probabilities) in enumerate(self._rows):
                label = [self.class_names[self._labels[index]]] if labelled else []
                predicted = self.class_names[int(probabilities.argmax())]
                writer.writerow([name, *label, predicted, *(f"{value:.6f}" for value in probabilities)])
        _logger.info("%d predictions written to %s", len(self._rows), path)


class EvaluationReport(PredictionWriter):
    """Write the metrics of an evaluation beside its predictions.

    ``metrics.json`` (all), ``metrics.csv`` (a row per class and one for all), ``confusion_matrix.csv`` and ``.png``,
    ``predictions.csv``. MONAI's ``MetricsSaver`` writes means of metrics that it knows, no figure and no names.
    """

    def write(self, engine: Engine) -> None:
        """Write all files, and log the overall metrics."""
        super().write(engine)
        probabilities = np.stack([row for _, row in self._rows])
        metrics = classification_metrics(probabilities, np.asarray(self._labels), self.class_names)
        write_metrics(metrics, self.output_dir)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in metrics.overall.items())
        _logger.info("%s; written to %s", shown, self.output_dir)


def write_metrics(metrics: ClassificationMetrics, output_dir: str | Path) -> None:
    """Write ``metrics.json``, ``metrics.csv``, ``confusion_matrix.csv`` and ``confusion_matrix.png``."""
    folder = Path(output_dir)
    content = {"overall": metrics.overall, "per_class": metrics.per_class, "confusion": metrics.confusion.tolist()}
    with replacing(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(_without_nan(content), indent=2) + "\n")
    per_class = {
        "auc": "macro_auc",
        "f1": "macro_f1",
        "sensitivity": "balanced_accuracy",  # the mean sensitivity is the balanced accuracy
        "specificity": None,
        "images": "images",
    }
    with replacing(folder / "metrics.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["class", *per_class, "accuracy"])
        for name, values in metrics.per_class.items():
            writer.writerow([name, *(f"{values[column]:.6g}" for column in per_class), ""])
        means = ["" if name is None else f"{metrics.overall[name]:.6g}" for name in per_class.values()]
        writer.writerow(["all", *means, f"{metrics.overall['accuracy']:.6g}"])
    with replacing(folder / "confusion_matrix.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["true \\ predicted", *metrics.class_names])
        writer.writerows([name, *row] for name, row in zip(metrics.class_names, metrics.confusion.tolist()))
    with replacing(folder / "confusion_matrix.png") as temporary:
        confusion_figure(metrics).savefig(temporary, format="png", dpi=150)


def confusion_figure(metrics: ClassificationMetrics) -> Figure:
    """The confusion matrix as a heat map: shade by share of the true class, text in counts and per cent."""
    counts, names = metrics.confusion, metrics.class_names
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.2 + 1.1 * len(names)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap=matplotlib.colormaps["Blues"], vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if share[row, column] > 0.6 else "black"
        axes.text(column, row, f"{count}\n{share[row, column]:.0%}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    overall = metrics.overall
    axes.set_title(f"balanced accuracy {overall['balanced_accuracy']:.1%}, macro AUC {overall['macro_auc']:.3f}")
    figure.colorbar(image, ax=axes, fraction=0.046, pad=0.04, label="share of the true class")
    return figure


def _without_nan(value: Any) -> Any:
    """NaN is no JSON: undefined values become null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
