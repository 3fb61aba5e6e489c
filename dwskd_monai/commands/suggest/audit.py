"""What an audit of labels found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.commands.suggest.judging import JudgedStudy
from dwskd_monai.commands.suggest.label_issues import find_label_issues


@dataclass(frozen=True)
class AuditedStudy:
    """A labeled study, and what networks say about it that were not trained on it.

    Args:
        judged: by each bundle that was not trained on it.
        label: index of the class that it was given.
    """

    judged: Sequence[JudgedStudy]
    label: int

    @property
    def networks(self) -> int:
        """How many networks judge it."""
        return sum(len(one.probabilities) for one in self.judged)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The mean ``(K,)`` of all networks."""
        mean: NDArray[np.float64] = np.concatenate([one.probabilities for one in self.judged]).mean(0)
        return mean

    @property
    def suggested(self) -> int:
        """Index of the most likely class."""
        return int(self.probabilities.argmax())

    @property
    def slice(self) -> int:
        """Index of the slice that speaks most for the suggested class, in the study."""
        return int(self.judged[0].slices.mean(1)[:, self.suggested].argmax())


@dataclass(frozen=True)
class Audit:
    """Labeled studies, judged by networks that were not trained on them.

    Args:
        studies: those that were judged, with labels of two or more classes.
        not_audited: names of the others, on which all networks were trained.
        class_names: in the order of the networks' outputs.
    """

    studies: Sequence[AuditedStudy]
    not_audited: Sequence[str]
    class_names: Sequence[str]

    @cached_property
    def doubtful(self) -> list[AuditedStudy]:
        """Studies whose label is probably wrong, the least likely label first."""
        labels = np.array([study.label for study in self.studies])
        places = find_label_issues(labels, np.stack([study.probabilities for study in self.studies]))
        return [self.studies[place] for place in places]

    @property
    def predicted_share(self) -> float:
        """The share of the labels that are the most likely class."""
        return sum(study.label == study.suggested for study in self.studies) / len(self.studies)

    @property
    def classes_without_labels(self) -> list[str]:
        """Classes that no judged study has as its label; mislabeled studies of these cannot be found."""
        labels = {study.label for study in self.studies}
        return [name for index, name in enumerate(self.class_names) if index not in labels]
