"""The objective of one student: its task, and what it learns from the other."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dwskd_monai.training.losses.similarity_preserving import SimilarityPreserving
from dwskd_monai.training.losses.softened_kl import SoftenedKL
from dwskd_monai.training.losses.term import DistillationTerm, StudentOutput


class SelfDistillationLoss(nn.Module):
    """Task loss of one student plus what it learns from the other (Tsutsumi et al., arXiv 2508.20461).

    ``L = task_loss(z, y) + λ(t) · term + γ · feature_term``. MONAI and torch have single terms, but not their sum with
    a weight that ramps up.

    Args:
        task_loss: loss of logits ``(B, C)`` and labels ``(B,)``; cross-entropy by default.
        term: what is learned from the peer's predictions; :class:`SoftenedKL` by default.
        weight: λ, the final weight of ``term``, >= 0.
        ramp_up_epochs: epochs over which λ rises from 0, by ``exp(-5 (1 - t)²)`` (Laine & Aila, arXiv 1610.02242);
            0 for none.
        feature_term: what is learned from the peer's features; :class:`SimilarityPreserving` by default.
        feature_weight: γ >= 0; 0 leaves the feature term out.
        soft_label_weight: w >= 0, the final weight of ``term`` if it compares with soft labels.

    Raises:
        ValueError: for a value outside the ranges above, or a term that is not a :class:`DistillationTerm`.

    Examples:
        >>> objective = SelfDistillationLoss(weight=0.1, ramp_up_epochs=5)
        >>> student, peer = (StudentOutput(torch.tensor([[value, 0.0]])) for value in (0.0, 2.0))
        >>> objective(student, torch.tensor([0]))  # cross-entropy alone
        tensor(0.6931)
        >>> objective(student, torch.tensor([0]), peer, epoch=5)  # and 0.1 of the divergence from the peer
        tensor(0.7375)
        >>> [round(objective.weight_at(epoch), 4) for epoch in (0, 2.5, 5)]
        [0.0007, 0.0287, 0.1]
    """

    def __init__(
        self,
        task_loss: nn.Module | None = None,
        term: DistillationTerm | None = None,
        weight: float = 1.0,
        ramp_up_epochs: float = 0.0,
        feature_term: DistillationTerm | None = None,
        feature_weight: float = 0.0,
        soft_label_weight: float = 1.0,
    ) -> None:
        super().__init__()
        for name, value in (
            ("weight", weight),
            ("ramp_up_epochs", ramp_up_epochs),
            ("feature_weight", feature_weight),
            ("soft_label_weight", soft_label_weight),
        ):
            if not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be 0 or greater, got {value}")
        self.task_loss = nn.CrossEntropyLoss() if task_loss is None else task_loss
        self.term = _checked_term("term", SoftenedKL() if term is None else term)
        self.feature_term = _checked_term(
            "feature_term", SimilarityPreserving() if feature_term is None else feature_term
        )
        self.weight = weight
        self.ramp_up_epochs = ramp_up_epochs
        self.feature_weight = feature_weight
        self.soft_label_weight = soft_label_weight

    @property
    def needs_features(self) -> bool:
        """Whether :meth:`forward` needs the students' pooled features."""
        return self.term.needs_features or (self.feature_weight > 0 and self.feature_term.needs_features)

    def weight_at(self, epoch: float) -> float:
        """λ(t) after ``epoch`` epochs (a fraction within an epoch)."""
        return self.weight * self._ramp(epoch)

    def forward(
        self,
        student: StudentOutput,
        target: Tensor,
        peer: StudentOutput | None = None,
        epoch: float = math.inf,
    ) -> Tensor:
        """The objective of one student.

        Args:
            student: logits and features of the student that learns.
            target: labels, ``(B,)``.
            peer: those of the student that teaches, which get no gradient; None for the task loss alone.
            epoch: epochs trained so far, for the ramp of λ.

        Returns:
            Scalar, in float32 whatever the precision of the logits.

        Raises:
            ValueError: if a term needs features and there are none.
        """
        student = student.float()
        loss = self.task_loss(student.logits, target)
        if peer is not None:
            peer = peer.detach().float()
            if self.needs_features and (student.features is None or peer.features is None):
                raise ValueError("the loss has a term that needs the pooled features of both students")
            loss = loss + self.weight_at(epoch) * self.term(student, peer)
            if self.feature_weight > 0:
                loss = loss + self.feature_weight * self.feature_term(student, peer)
        return torch.as_tensor(loss)

    def from_soft_labels(
        self, student: StudentOutput, target: Tensor, labeled: Tensor, soft_labels: Tensor, epoch: float = math.inf
    ) -> Tensor:
        """The objective of a student that learns soft labels, as it would the predictions of a peer.

        ``L = task_loss(z, y) + w(t) · term``: the task loss of the images with labels, the term of all images.

        Args:
            student: logits of the student.
            target: labels, ``(B,)``; those of images without one are not used.
            labeled: which images have a label, ``(B,)`` of bool.
            soft_labels: probabilities ``(B, C)``.
            epoch: epochs of learning soft labels so far, for the ramp of w, which is that of λ.

        Returns:
            Scalar, in float32 whatever the precision of the logits.
        """
        student = student.float()
        peer = StudentOutput(soft_labels.float().clamp_min(torch.finfo(torch.float32).tiny).log())
        loss = self.soft_label_weight * self._ramp(epoch) * self.term(student, peer)
        if labeled.any():  # the mean of no image would be NaN
            loss = loss + self.task_loss(student.logits[labeled], target[labeled])
        return torch.as_tensor(loss)

    def _ramp(self, epoch: float) -> float:
        if epoch >= self.ramp_up_epochs:
            return 1.0
        return math.exp(-5 * (1 - epoch / self.ramp_up_epochs) ** 2)


def _checked_term(name: str, term: DistillationTerm) -> DistillationTerm:
    if not isinstance(term, DistillationTerm):
        raise ValueError(
            f"{name} must be a DistillationTerm, got {type(term).__name__}; "
            "derive your class from dwskd_monai.training.DistillationTerm"
        )
    return term
