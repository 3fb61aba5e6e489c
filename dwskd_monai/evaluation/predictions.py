"""A handler that writes what an evaluator predicted, study by study."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray

from dwskd_monai.class_order import in_order
from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.planes import UNKNOWN, UnusualPlanes
from dwskd_monai.evaluation.studies import StudyPrediction, StudyPredictions
from dwskd_monai.evaluation.unlike import StudyNovelty, UnlikeStudies
from dwskd_monai.files import GrowingCsv, write_json

_logger = logging.getLogger(__name__)


def mean_top_probability(output: Sequence[Mapping[str, Any]]) -> float:
    """The probability of the most likely class, as a mean over the predictions ``(K,)`` of a batch.

    Examples:
        >>> import torch
        >>> mean_top_probability([{"pred": torch.tensor([0.75, 0.25])}, {"pred": torch.tensor([0.5, 0.5])}])
        0.625
    """
    return sum(float(item[CommonKeys.PRED].max()) for item in output) / len(output)


class Refused(Protocol):
    """The list of images that are refused."""

    path: Path

    def count(self) -> int:
        """How many images are refused."""

    def keep(self) -> None:
        """Give the file of the list its final name."""


class PredictionWriter:
    """Write what was predicted: a CSV row for each study and, if studies have several slices, one for each slice.

    ``monai.handlers.ClassificationSaver`` writes neither a header nor class names, and has no studies.

    ``predictions.csv``: study (name, file or folder), label if it is known, predicted class (the most probable one),
    one calibrated probability per class, number of slices, the classes that reach their operating point, the prediction
    set, whether the study is unlike the training images, its novelty score, and a note if there is something to say.
    ``slice_predictions.csv``: study, slice, label, predicted class, probabilities as the network gives them, novelty
    score. Rows are written as soon as a study is complete; until the end, the file is
    ``predictions.partial.csv``, so that no finished study is lost in an interruption. ``predictions.json``: the digest
    of the weights, the classes, how slices became studies, the evidence, and in ``unusual_planes`` how many studies
    were cut in a plane in which almost none of the training images were, and in ``unlike_training`` how many look
    unlike them; warnings name the first of them.

    Args:
        output_dir: folder of the files.
        class_names: names in the order of the network's outputs, or ``channel_def`` of the metadata.
        aggregation: turns the probabilities of the slices into those of the study.
        weights_sha256: digest of the file of the network's weights; None: unknown.
        refused: images that are not predicted; their number is written too.
        accept: which unexpected images were accepted, for the record.
        planes: number of training images of each plane; None or empty: not known.
        evidence: what the training fitted; None: probabilities are not calibrated, and there is nothing else.
        abstain: whether the predicted class of a study that is unlike the training images is left empty.

    The evaluator's batches need the keys ``study``, ``slice`` and ``slices``, and ``image`` for a novelty score. They
    may have ``plane``, and ``study_index``, the study's position in the datalist and in the files. The evaluator's
    postprocessing must give probabilities ``(K,)`` in ``pred``. A study that lacks slices at the end is an error.
    """

    def __init__(
        self,
        output_dir: str | Path,
        class_names: Sequence[str] | Mapping[str, str],
        aggregation: Aggregation | None = None,
        weights_sha256: str | None = None,
        refused: Refused | None = None,
        accept: Sequence[str] = (),
        planes: Mapping[str, int] | None = None,
        evidence: Evidence | None = None,
        abstain: bool = False,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.class_names = in_order(class_names)
        self.aggregation = Aggregation() if aggregation is None else aggregation
        self.weights_sha256 = weights_sha256
        self.refused = refused
        self.accept = list(accept)
        self.planes = planes
        self.evidence = Evidence() if evidence is None else evidence
        self.abstain = abstain
        if abstain and (self.evidence.novelty is None or self.evidence.novelty.study_limit is None):
            raise ValueError(
                "abstain: expected a limit of the novelty score in the trained settings, but they have none; leave "
                "abstain out, or train with novelty and more validation images"
            )
        self._reset()

    def attach(self, engine: Engine) -> None:
        """Collect after each iteration, finish at the end."""
        engine.add_event_handler(Events.STARTED, self._reset)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def _reset(self, engine: Engine | None = None) -> None:
        self._predictions = StudyPredictions(self.aggregation)
        self._unusual_planes = UnusualPlanes(self.planes)
        self._unlike = UnlikeStudies(self.evidence.novelty)
        self._study_rows = GrowingCsv(self.output_dir / "predictions.csv")
        self._slice_rows = GrowingCsv(self.output_dir / "slice_predictions.csv")

    def _collect(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        output: Any = engine.state.output
        self._unlike.add(batch)
        for item, result in zip(batch, output, strict=True):
            name = str(item["study"])
            self._unusual_planes.add(name, str(item.get("plane", UNKNOWN)))
            probabilities = self._checked(result[CommonKeys.PRED], name)
            label = result.get(CommonKeys.LABEL)
            study = self._predictions.add(
                name, int(item["slice"]), int(item["slices"]), probabilities, None if label is None else int(label)
            )
            if study is not None:
                self._finish(study, int(item.get("study_index", 0)))

    def _checked(self, prediction: Any, name: str) -> NDArray[np.float64]:
        probabilities = np.asarray(prediction.detach().cpu(), dtype=np.float64)
        if probabilities.shape != (len(self.class_names),):
            raise ValueError(
                f"{name}: the network has {probabilities.shape[-1]} outputs, but the metadata has "
                f"{len(self.class_names)} classes ({', '.join(self.class_names)})"
            )
        if not np.isfinite(probabilities).all():
            raise FloatingPointError(f"{name}: the network's prediction is not finite: {probabilities}")
        return probabilities

    def _finish(self, study: StudyPrediction, rank: int) -> None:
        """Write a complete study; in the finished files, studies are in the order of the datalist."""
        label = {} if study.label is None else {"label": self.class_names[study.label]}
        calibrated = self.evidence.calibrated(study.probabilities)
        novelty = self._unlike.finish(study.study)
        columns = self._columns(calibrated)
        if self.abstain and novelty.is_unlike:
            columns["predicted"] = ""
        columns |= {"slices": str(len(study.slices)), **self._said(study.study, calibrated, novelty)}
        self._study_rows.write({"study": study.study, **label, **columns}, rank)
        if len(study.slices) > 1:
            for index, row in enumerate(study.slices):
                of_slice = {**self._columns(row), **novelty.slice_columns(index)}
                self._slice_rows.write({"study": study.study, "slice": index, **label, **of_slice}, rank)

    def _columns(self, probabilities: NDArray[np.float64]) -> dict[str, str]:
        values = {name: f"{value:.6f}" for name, value in zip(self.class_names, probabilities)}
        return {"predicted": self.class_names[int(probabilities.argmax())], **values}

    def _said(self, study: str, calibrated: NDArray[np.float64], novelty: StudyNovelty) -> dict[str, str]:
        """What else is said of a study."""
        columns = self.evidence.describe(calibrated, self.class_names)
        note = columns.pop("note")
        notes = [f"{plane} slices, unlike the training images" for plane in self._unusual_planes.of_study(study)]
        notes += novelty.notes()
        if note:
            notes.append(note)
        return columns | novelty.columns() | {"note": "; ".join(notes)}

    def origin(self) -> dict[str, Any]:
        """Which network made the predictions, and how."""
        return {
            "weights_sha256": self.weights_sha256,
            "classes": self.class_names,
            "aggregation": dataclasses.asdict(self.aggregation),
            "refused_images": 0 if self.refused is None else self.refused.count(),
            "accepted": self.accept,
            "unusual_planes": self._unusual_planes.counts(),
            "unlike_training": self._unlike.counts(),
            "abstain": self.abstain,
            "evidence": dict(self.evidence.record),
        }

    def _refuse_to_end_without_predictions(self) -> None:
        if self.refused is None or not self.refused.count():
            raise ValueError("0 predictions: there was no image; expected one or more")
        count = self.refused.count()
        self.refused.keep()
        raise ValueError(f"0 predictions: all images were refused ({count}); {self.refused.path} says why")

    def write(self, engine: Engine) -> None:
        """Give the files their final names.

        Raises:
            IncompleteStudiesError: if studies lack slices; those that are complete stay in the partial files.
            ValueError: if nothing was predicted.
        """
        self._predictions.require_complete()
        self._slice_rows.finish()
        count = self._study_rows.finish()
        if not count:
            self._refuse_to_end_without_predictions()
        write_json(self.output_dir / "predictions.json", self.origin())
        self._unusual_planes.warn()
        self._unlike.log()
        _logger.info("%d predictions written to %s", count, self.output_dir / "predictions.csv")
