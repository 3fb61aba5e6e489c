"""The softened Kullback-Leibler divergence of knowledge distillation."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dwskd_monai.training.losses.term import DistillationTerm, StudentOutput


def softened_kl(logits: Tensor, peer_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """T² · KL(softmax(peer / T) ‖ softmax(logits / T)), mean over the batch.

    Args:
        logits: of the student that learns, ``(B, C)``.
        peer_logits: of the student that teaches, ``(B, C)``.
        temperature: T > 0; T² keeps the size of the gradient when T changes.

    Returns:
        Scalar, in nats.

    Examples:
        >>> import torch
        >>> logits, peer_logits = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
        >>> softened_kl(logits, peer_logits, temperature=2.0)
        tensor(0.4438)
        >>> softened_kl(logits, logits, temperature=2.0)
        tensor(0.)
    """
    log_student = F.log_softmax(logits / temperature, dim=1)
    log_peer = F.log_softmax(peer_logits / temperature, dim=1)
    return F.kl_div(log_student, log_peer, reduction="batchmean", log_target=True) * temperature**2


class SoftenedKL(DistillationTerm):
    """:func:`softened_kl` of the students' logits (Hinton et al., arXiv 1503.02531, equation 4).

    ``torch.nn.KLDivLoss`` takes log-probabilities and has no temperature.

    Args:
        temperature: T > 0.

    Examples:
        >>> import torch
        >>> student, peer = (StudentOutput(torch.tensor([[value, 0.0]])) for value in (0.0, 2.0))
        >>> SoftenedKL(temperature=2.0)(student, peer)
        tensor(0.4438)
    """

    def forward(self, student: StudentOutput, peer: StudentOutput) -> Tensor:
        """The divergence, in nats; see :class:`DistillationTerm`."""
        return softened_kl(student.logits, peer.logits, self.temperature)
