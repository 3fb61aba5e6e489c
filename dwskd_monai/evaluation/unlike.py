"""The studies of a run that are unlike the training images."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from dwskd_monai.evaluation.novelty import Floats, Novelty

_MOST_NAMES = 5
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyNovelty:
    """What is said of a study.

    Args:
        score: of the study; None: there is no score.
        limit: from which on studies are unlike the training images; None: there is none.
        slices: scores ``(S,)`` of its slices, in their order.

    Examples:
        >>> StudyNovelty(4.13, 1.7, np.array([4.13])).columns()
        {'unlike_training': 'true', 'novelty': '4.13'}
    """

    score: float | None = None
    limit: float | None = None
    slices: Floats | None = None

    @classmethod
    def of(cls, novelty: Novelty, slices: Floats) -> StudyNovelty:
        """What is said of a study with these scores of its slices."""
        return cls(novelty.of_study(slices), novelty.study_limit, slices)

    @property
    def is_unlike(self) -> bool:
        """Whether the study is known to be unlike the training images."""
        return self.score is not None and self.limit is not None and self.score > self.limit

    def columns(self) -> dict[str, str]:
        """``unlike_training`` (``true``, ``false``, or empty without a limit) and ``novelty``."""
        known = self.score is not None and self.limit is not None
        return {
            "unlike_training": str(self.is_unlike).lower() if known else "",
            "novelty": "" if self.score is None else f"{self.score:.2f}",
        }

    def slice_columns(self, index: int) -> dict[str, str]:
        """``novelty`` of a slice."""
        return {"novelty": "" if self.slices is None else f"{self.slices[index]:.2f}"}

    def notes(self) -> list[str]:
        """In words, if the study is unlike the training images."""
        return [f"unlike the training images: score {self.score:.2f}, limit {self.limit:.2f}"] if self.is_unlike else []


class UnlikeStudies:
    """Scores of the slices of a run, until their studies are complete.

    Args:
        novelty: what the training fitted; None: there are no scores.
    """

    def __init__(self, novelty: Novelty | None) -> None:
        self._novelty = novelty
        self._open: dict[str, dict[int, float]] = {}
        self._scores: dict[str, float] = {}
        self._unlike: list[str] = []

    def add(self, study: str, index: int, score: float) -> None:
        """Take the score of one slice."""
        self._open.setdefault(study, {})[index] = score

    def finish(self, study: str) -> StudyNovelty:
        """What is said of a study, all slices of which were added."""
        if self._novelty is None:
            return StudyNovelty()
        scores = self._open.pop(study)
        slices = np.array([scores[index] for index in sorted(scores)])
        found = StudyNovelty.of(self._novelty, slices)
        self._scores[study] = self._novelty.of_study(slices)
        if found.is_unlike:
            self._unlike.append(study)
        return found

    def counts(self) -> dict[str, int] | None:
        """The number of studies that are unlike the training images, and of all; None: nobody can tell."""
        if self._novelty is None or self._novelty.study_limit is None:
            return None
        return {"studies": len(self._unlike), "of": len(self._scores)}

    def score_of(self, study: str) -> float | None:
        """The score of a study that was finished; None: there is no score."""
        return self._scores.get(study)

    def log(self) -> None:
        """Log the number of the studies; if there are any, as a warning with the first of their names."""
        count = len(self._unlike)
        if not count:
            if self.counts() is not None:
                _logger.info("0 of %d studies are unlike the training images", len(self._scores))
            return
        more = count - _MOST_NAMES
        _logger.warning(
            "%d of %d studies %s unlike the training images (%s%s): do not rely on %s",
            count,
            len(self._scores),
            "is" if count == 1 else "are",
            ", ".join(self._unlike[:_MOST_NAMES]),
            f" and {more} more" if more > 0 else "",
            "its prediction" if count == 1 else "their predictions",
        )
