"""A handler that writes how good an evaluator's predictions were."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from ignite.engine import Engine
from numpy.typing import NDArray

from dwskd_monai.evaluation.aggregation import Probabilities
from dwskd_monai.evaluation.explanations.explaining import Explained, Explanations, Predicted
from dwskd_monai.evaluation.measuring import measure_evidence
from dwskd_monai.evaluation.metric_files import write_metrics
from dwskd_monai.evaluation.metrics import ClassificationMetrics, as_text, classification_metrics
from dwskd_monai.evaluation.other_network import OtherNetwork
from dwskd_monai.evaluation.page.content import Evaluated, measure
from dwskd_monai.evaluation.page.failures import failure_places
from dwskd_monai.evaluation.page.network import Trained
from dwskd_monai.evaluation.page.page import write_page
from dwskd_monai.evaluation.predictions import PredictionWriter
from dwskd_monai.evaluation.shortcuts.collecting import Shortcuts
from dwskd_monai.evaluation.studies import StudyPrediction

_logger = logging.getLogger(__name__)


class EvaluationReport(PredictionWriter):
    """Write the metrics of an evaluation beside its predictions.

    The files are ``metrics.json`` (everything), ``metrics.csv`` (a row for each class and one for all classes, for
    studies and, if studies have several slices, for slices), ``confusion_matrix.csv`` and ``.png`` of studies,
    ``predictions.csv`` and ``slice_predictions.csv``. Metrics of studies are those of calibrated probabilities, metrics
    of slices those of the network's. ``evidence_measured`` in ``metrics.json`` has what the operating points and
    prediction sets do on these images, and the calibration before and after. ``report.html`` shows all of this with
    intervals, curves, errors and limits, in one file; ``report`` in ``metrics.json`` has its numbers. MONAI's
    ``MetricsSaver`` writes means of MONAI's metrics, without a figure or class names.

    Args:
        args, options: those of :class:`~dwskd_monai.evaluation.predictions.PredictionWriter`.
        trained_images: whether the evaluated images may include some that the network learned from, with or without
            their labels; None: unknown.
        fitted_images: how many of the images chose the epoch and fitted the evidence; None: unknown.
        patients: of each study, by ``study_index``, for intervals; None: unknown.
        columns: further columns of the datalist, such as ``sex``, each with a value by ``study_index``; None: none.
        report: whether ``report.html``, and its numbers in ``metrics.json``, are written.
        split: which images these are: test, validation, training or all; None: not said.
        settings: ids and values of the trained settings, for the report; None: not known.
        training: what the trained settings say of the training, for the report; None: not known.
        shortcuts: shows the network parts of the images, for the report; None: shortcuts are not looked for.
        explanations: makes maps and pictures of some images, for the report; None: there are none.
        other: another network, which the report compares on the same images; None: there is none.

    Raises:
        ValueError: for another network without a report.
    """

    def __init__(
        self,
        *args: Any,
        trained_images: bool | None = None,
        fitted_images: int | None = None,
        patients: Sequence[str | None] | None = None,
        columns: Mapping[str, Sequence[str | None]] | None = None,
        report: bool = True,
        split: str | None = None,
        settings: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        shortcuts: Shortcuts | None = None,
        explanations: Explanations | None = None,
        other: OtherNetwork | None = None,
        **options: Any,
    ) -> None:
        self.trained_images = trained_images
        self.fitted_images = fitted_images
        self.patients = patients
        self.columns = columns or {}
        self.report = report
        self.split = split
        self.trained = Trained(settings or {}, training or {})
        self.shortcuts = shortcuts if report and shortcuts is not None and shortcuts.enabled else None
        self.explanations = explanations if report and explanations is not None and explanations.studies else None
        self.other = other
        if other is not None and not report:
            raise ValueError("against: the other network is compared in the report; leave out report: false")
        super().__init__(*args, **options)
        if self.trained.settings:  # the page tells how slices became studies here, which may differ
            here = {"aggregate": self.aggregation.method, "top_k": self.aggregation.k}
            self.trained = Trained({**self.trained.settings, **here}, self.trained.training)

    def origin(self) -> dict[str, Any]:
        """Which network made the predictions, and for which images."""
        of_training = {"trained_images": self.trained_images, "fitted_images": self.fitted_images}
        return super().origin() | of_training

    def begin(self) -> None:
        """Begin anew, with no study."""
        super().begin()
        self._studies: list[StudyPrediction] = []
        self._labels: list[int] = []
        self._patients: list[str | None] = []
        self._ranks: list[int] = []
        if self.shortcuts is not None:
            self.shortcuts.begin(self.aggregation)

    def _collect(self, engine: Engine) -> None:
        super()._collect(engine)
        if self.shortcuts is not None:
            state: Any = engine.state
            self.shortcuts.add(state.batch, state.device)

    def _finish(self, study: StudyPrediction, rank: int) -> None:
        super()._finish(study, rank)
        if study.label is None:
            raise ValueError(f"{study.study}: no label; an evaluation needs the label of each study")
        self._studies.append(study)
        self._labels.append(study.label)
        self._ranks.append(rank)
        self._patients.append(None if self.patients is None else self.patients[rank])

    def write(self, engine: Engine) -> None:
        """Write all files, and log the overall metrics."""
        super().write(engine)
        labels = np.array(self._labels)
        lengths = [len(study.slices) for study in self._studies]
        probabilities = np.stack([study.probabilities for study in self._studies])
        calibrated = self.evidence.calibrated(probabilities)
        levels = {"study": classification_metrics(calibrated, labels, self.class_names)}
        if max(lengths) > 1:
            slices = np.concatenate([study.slices for study in self._studies])
            levels["slice"] = classification_metrics(slices, labels.repeat(lengths), self.class_names)
        measured = measure_evidence(self.evidence, probabilities, labels, self._patients, self.class_names)
        origin = self.origin() | {"split": self.split, "evidence_measured": measured}
        content = None
        if self.report:
            explained = self._explained(calibrated, labels, engine)
            content = self._write_report(probabilities, labels, levels["study"], origin, explained)
        write_metrics(levels, self.output_dir, origin, content)
        if self.fitted_images:
            _logger.warning(
                "%d of the images chose the epoch, and fitted calibration, operating points and prediction sets: new "
                "images will have worse numbers", self.fitted_images,
            )  # fmt: skip
        self._log(levels)

    def _write_report(
        self,
        probabilities: Probabilities,
        labels: NDArray[np.integer],
        metrics: ClassificationMetrics,
        origin: Mapping[str, Any],
        explained: Explained | None,
    ) -> dict[str, Any]:
        """Write the page, and return its numbers."""
        names = [study.study for study in self._studies]
        evaluated = Evaluated(
            studies=names,
            probabilities=probabilities,
            labels=labels,
            patients=self._patients,
            slices=[study.slices for study in self._studies],
            class_names=self.class_names,
            evidence=self.evidence,
            explained=explained,
            seen=None if self.shortcuts is None else self.shortcuts.seen(names, self._ranks),
            columns={name: [values[rank] for rank in self._ranks] for name, values in self.columns.items()},
            novelty=[self._unlike.score_of(study.study) for study in self._studies],
            other=None if self.other is None else self.other.of([study.study for study in self._studies]),
        )
        measured = measure(evaluated, origin, None if self.other is None else self.other.described())
        page = self.output_dir / "report.html"
        write_page(page, measured, metrics, origin, self.trained)
        _logger.info("%s has all numbers with their intervals", page)
        return measured.content

    def _explained(self, calibrated: Probabilities, labels: NDArray[np.integer], engine: Engine) -> Explained | None:
        """Maps and pictures of some studies."""
        if self.explanations is None:
            return None
        state: Any = engine.state
        names = [PurePath(study.study).name for study in self._studies]
        predicted = Predicted(names, self._ranks, calibrated, labels, [study.slices for study in self._studies])
        return self.explanations.explain(predicted, failure_places(calibrated, labels), state.device)

    def _log(self, levels: Mapping[str, ClassificationMetrics]) -> None:
        for level, metrics in levels.items():
            shown = ", ".join(f"{name} {as_text(value, 4)}" for name, value in metrics.overall.items())
            _logger.info("%s: %s; written to %s", level, shown, self.output_dir)
        missing = levels["study"].missing_classes
        if missing:
            _logger.warning(
                "no study is of class %s: its values are undefined, and balanced_accuracy, macro_auc and macro_f1 are "
                "means of the %d other classes", ", ".join(missing), len(self.class_names) - len(missing),
            )  # fmt: skip
