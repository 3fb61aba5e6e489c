"""Distillation of the similarities between the images of a batch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dwskd_monai.training.losses.term import DistillationTerm, StudentOutput, checked_features


def similarities(features: Tensor) -> Tensor:
    """``H·Hᵀ`` of features H ``(B, D)``, its rows ``(B, B)`` scaled to unit length."""
    return F.normalize(features @ features.T, dim=1)


class SimilarityPreserving(DistillationTerm):
    """Mean squared difference of the students' :func:`similarities` (Tung & Mori, arXiv 1907.09682, equation 4).

    Two complementary students have no neuron in common, so their features cannot be compared one by one, but the
    similarities between images can. The sum of squared differences is divided by B².

    Examples:
        >>> import torch
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> logits = torch.zeros(2, 3)
        >>> turned = StudentOutput(logits, features.flip(1))
        >>> SimilarityPreserving()(StudentOutput(logits, features), turned)  # the same images are alike
        tensor(0.)
    """

    needs_features = True

    def forward(self, student: StudentOutput, peer: StudentOutput) -> Tensor:
        """The difference; see :class:`DistillationTerm`.

        Raises:
            ValueError: if the batch has only one sample, for which the term would be constant.
        """
        student_features = checked_features(student, "SimilarityPreserving")
        peer_features = checked_features(peer, "SimilarityPreserving")
        difference = similarities(student_features) - similarities(peer_features)
        return difference.square().sum() / len(student_features) ** 2
