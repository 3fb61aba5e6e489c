"""What is said of a study, for the report and the picture alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwskd_monai.evaluation.unlike import StudyNovelty

if TYPE_CHECKING:
    from dwskd_monai.runtime.classifier import Answer, Classifier

RESEARCH_ONLY = "Research only. Not for diagnosis."


@dataclass(frozen=True)
class ClassSaid:
    """What is said of one class.

    Args:
        name: of the class.
        probability: calibrated.
        threshold: its operating point; None: not fitted.
        reached: whether the probability reaches it.
        possible: whether the class is in the prediction set.
    """

    name: str
    probability: float
    threshold: float | None
    reached: bool
    possible: bool


@dataclass(frozen=True)
class Said:
    """What is said of a study.

    Args:
        title, version: of the classifier.
        sha256: of its file.
        weights_sha256: of the weights that it was exported from.
        classes: in the order of the probabilities.
        predicted: the most probable class; None if the study is unlike the training images and nothing is to be said.
        coverage: share of the studies whose class is in their prediction set; None: there are no sets.
        novelty: how unlike the training images the study is.
    """

    title: str
    version: str
    sha256: str
    weights_sha256: str
    classes: tuple[ClassSaid, ...]
    predicted: ClassSaid | None
    coverage: float | None
    novelty: StudyNovelty

    @property
    def prediction_set(self) -> list[ClassSaid] | None:
        """The classes that the study may have; None: there are no sets."""
        return None if self.coverage is None else [row for row in self.classes if row.possible]

    def lines(self) -> list[str]:
        """In words, the most important first."""
        return [self._of_class(), self._of_set(), *filter(None, [self._of_novelty()]), RESEARCH_ONLY]

    def _of_class(self) -> str:
        if self.predicted is None:
            return "No class, because the study is unlike the training images."
        return f"Most probable class: {self.predicted.name}, {percent(self.predicted.probability)}."

    def _of_set(self) -> str:
        possible = self.prediction_set
        if possible is None:
            return "Prediction set: not fitted."
        names = ", ".join(row.name for row in possible) or "no class"
        return f"Prediction set ({self.coverage:.0%}): {names}."

    def _of_novelty(self) -> str:
        """Whether the study is unlike the training images; empty if nobody can tell."""
        score, limit = self.novelty.score, self.novelty.limit
        if score is None or limit is None:
            return ""
        answer = "YES, do not rely on this answer" if self.novelty.is_unlike else "no"
        return f"Unlike the training images: {answer} (score {score:.2f}, limit {limit:.2f})."


def percent(probability: float) -> str:
    """A probability as it is shown."""
    return f"{100 * probability:.1f} %"


def said_of(classifier: Classifier, answer: Answer, abstain: bool = False) -> Said:
    """What is said of a study.

    Args:
        classifier: the exported classifier.
        answer: its answer.
        abstain: whether nothing is said of the class of a study that is unlike the training images.
    """
    evidence, metadata = classifier.evidence, classifier.metadata
    rows = [
        ClassSaid(
            name,
            float(probability),
            evidence.operating_points.get(name),
            name in answer.at_operating_point,
            name in answer.prediction_set,
        )
        for name, probability in zip(metadata["classes"], answer.probabilities, strict=True)
    ]
    limit = None if evidence.novelty is None else evidence.novelty.study_limit
    novelty = StudyNovelty(answer.novelty, limit)
    return Said(
        title=metadata["name"],
        version=metadata["version"],
        sha256=classifier.sha256,
        weights_sha256=metadata["weights_sha256"],
        classes=tuple(rows),
        predicted=None if abstain and novelty.is_unlike else rows[int(answer.probabilities.argmax())],
        coverage=evidence.coverage if evidence.set_thresholds else None,
        novelty=novelty,
    )
