"""The files that say what was predicted, study by study: writing and reading them."""

from __future__ import annotations

import csv
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.class_order import in_order
from dwskd_monai.evaluation.aggregation import Aggregation, Probabilities
from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.planes import UNKNOWN, UnusualPlanes
from dwskd_monai.evaluation.studies import StudyPrediction, StudyPredictions
from dwskd_monai.evaluation.unlike import StudyNovelty, UnlikeStudies
from dwskd_monai.files import GrowingCsv, write_json

_SMALL = 1e-4
_logger = logging.getLogger(__name__)


class Refused(Protocol):
    """The list of images that are refused."""

    path: Path

    def count(self) -> int:
        """How many images are refused."""

    def keep(self) -> None:
        """Give the file of the list its final name."""


@dataclasses.dataclass(frozen=True)
class LabeledPredictions:
    """What files of predictions say of N labeled studies.

    Args:
        studies: their names.
        labels: ``(N,)``, indices of their classes.
        probabilities: ``(N, K)``, rounded as they were written.
    """

    studies: list[str]
    labels: NDArray[np.int64]
    probabilities: Probabilities


def read_predictions(files: Sequence[Path], class_names: Sequence[str]) -> LabeledPredictions:
    """Read files ``predictions.csv`` of labeled studies, one after the other.

    Args:
        files: of networks with the same classes.
        class_names: in the order of the probabilities.
    """
    names = list(class_names)
    rows: list[dict[str, str]] = []
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            rows += csv.DictReader(file)
    return LabeledPredictions(
        [row["study"] for row in rows],
        np.array([names.index(row["label"]) for row in rows]),
        np.array([[float(row[name]) for name in names] for row in rows]),
    )


def _shown(probability: float) -> str:
    """Six decimals; small ones keep their digits, since their logarithm counts in a calibration."""
    return f"{probability:.6f}" if probability >= _SMALL or not probability else f"{probability:.6g}"


class PredictionFiles:
    """Write what was predicted: a CSV row for each study and, if studies have several slices, one for each slice.

    Slices may come in any order. A study is written as soon as its last slice has come; until the end, the file is
    ``predictions.partial.csv``, so that no finished study is lost in an interruption. Only numpy is imported, so that a
    program without torch writes the same files. :class:`~dwskd_monai.evaluation.predictions.PredictionWriter` is for an
    evaluator, and says what is in the files.

    Args:
        output_dir: folder of the files.
        class_names: names in the order of the probabilities, or ``channel_def`` of the metadata.
        aggregation: turns the probabilities of the slices into those of the study.
        weights_sha256: digest of the file of the network's weights; None: unknown.
        refused: images that are not predicted; their number is written too.
        accept: which unexpected images were accepted, for the record.
        planes: number of training images of each plane; None or empty: not known.
        evidence: what the training fitted; None: probabilities are not calibrated, and there is nothing else.
        abstain: whether the predicted class of a study that is unlike the training images is left empty.

    Raises:
        ValueError: if it is to abstain, but there is no limit of the novelty score.
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
        self.begin()

    def begin(self) -> None:
        """Begin anew, with no study."""
        self._predictions = StudyPredictions(self.aggregation)
        self._unusual_planes = UnusualPlanes(self.planes)
        self._unlike = UnlikeStudies(self.evidence.novelty)
        self._study_rows = GrowingCsv(self.output_dir / "predictions.csv")
        self._slice_rows = GrowingCsv(self.output_dir / "slice_predictions.csv")

    def add(
        self,
        study: str,
        index: int,
        count: int,
        probabilities: Probabilities,
        label: int | None = None,
        plane: str = UNKNOWN,
        rank: int = 0,
        score: float | None = None,
    ) -> None:
        """Take the prediction of one slice.

        Args:
            study, index, count, label: as :meth:`~dwskd_monai.evaluation.studies.StudyPredictions.add` takes them.
            probabilities: ``(K,)``.
            plane: in which the slice was cut.
            rank: of the study; in the finished files, studies are in this order.
            score: of novelty, if the training fitted it.

        Raises:
            ValueError: if there are more or fewer probabilities than classes, or a slice comes twice.
            FloatingPointError: if a probability is not finite.
        """
        if probabilities.shape != (len(self.class_names),):
            raise ValueError(
                f"{study}: the network has {probabilities.shape[-1]} outputs, but the metadata has "
                f"{len(self.class_names)} classes ({', '.join(self.class_names)})"
            )
        if not np.isfinite(probabilities).all():
            raise FloatingPointError(f"{study}: the network's prediction is not finite: {probabilities}")
        if score is not None:
            self._unlike.add(study, index, score)
        self._unusual_planes.add(study, plane)
        complete = self._predictions.add(study, index, count, probabilities, label)
        if complete is not None:
            self._finish(complete, rank)

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

    def _columns(self, probabilities: Probabilities) -> dict[str, str]:
        values = {name: _shown(value) for name, value in zip(self.class_names, probabilities)}
        return {"predicted": self.class_names[int(probabilities.argmax())], **values}

    def _said(self, study: str, calibrated: Probabilities, novelty: StudyNovelty) -> dict[str, str]:
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

    def finish(self) -> None:
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
