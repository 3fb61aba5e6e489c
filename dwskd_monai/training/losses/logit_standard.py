"""Distillation of standardized logits."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dwskd_monai.training.losses.softened_kl import softened_kl
from dwskd_monai.training.losses.term import DistillationTerm, StudentOutput


def standardized(logits: Tensor) -> Tensor:
    """Logits ``(B, C)``, each row with mean 0 and standard deviation 1 (Sun et al., arXiv 2403.01265, algorithm 1)."""
    return F.layer_norm(logits, logits.shape[1:])  # with an epsilon, for logits that are all equal


class LogitStandard(DistillationTerm):
    """The softened divergence of standardized logits (Sun et al., *Logit Standardization*, arXiv 2403.01265).

    The student learns the relations between the peer's logits, not their size.

    Args:
        temperature: T > 0.

    Examples:
        >>> import torch
        >>> student, peer = (StudentOutput(torch.tensor([[3.0, 1.0, 2.0]]) * size) for size in (1, 10))
        >>> abs(float(LogitStandard()(student, peer))) < 1e-4  # ten times as large, and the same relations
        True
    """

    def forward(self, student: StudentOutput, peer: StudentOutput) -> Tensor:
        """The divergence, in nats; see :class:`DistillationTerm`."""
        return softened_kl(standardized(student.logits), standardized(peer.logits), self.temperature)
