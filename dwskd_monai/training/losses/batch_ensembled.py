"""Distillation of predictions that are shared between similar images of a batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dwskd_monai.training.losses.term import DistillationTerm, StudentOutput, checked_features


def ensembled_targets(probabilities: Tensor, features: Tensor, propagation: float = 0.5) -> Tensor:
    """Predictions that are shared between similar samples of a batch (Ge et al., *BAKE*, arXiv 2104.13298, section 3).

    ``Q = (1 - ω) (I - ω A)⁻¹ P``, where A is the softmax of each sample's cosine similarities to the other samples.

    Args:
        probabilities: P, ``(B, C)``.
        features: pooled features ``(B, D)`` of at least two samples, which tell how similar these are.
        propagation: ω in [0, 1); 0 leaves P as it is.

    Returns:
        Q, ``(B, C)``; each row sums to 1.

    Examples:
        >>> probabilities = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> ensembled_targets(probabilities, features=torch.eye(2), propagation=0.5)
        tensor([[0.6667, 0.3333],
                [0.3333, 0.6667]])
    """
    unit = F.normalize(features, dim=1)
    itself = torch.eye(len(unit), device=unit.device)
    affinity = (unit @ unit.T).masked_fill(itself.bool(), -torch.inf).softmax(1)
    shared: Tensor = torch.linalg.solve(itself - propagation * affinity, (1 - propagation) * probabilities)
    return shared


class BatchEnsembled(DistillationTerm):
    """T² · KL(Q ‖ softmax(logits / T)), where Q is the peer's softened predictions, shared within the batch (BAKE).

    In BAKE (arXiv 2104.13298) a student is its own teacher; here the targets come from the predictions and similarities
    of the other student.

    Args:
        temperature: T > 0.
        propagation: ω, see :func:`ensembled_targets`.
    """

    needs_features = True

    def __init__(self, temperature: float = 2.0, propagation: float = 0.5) -> None:
        super().__init__(temperature)
        self.propagation = propagation

    def forward(self, student: StudentOutput, peer: StudentOutput) -> Tensor:
        """The divergence, in nats; see :class:`DistillationTerm`.

        Raises:
            ValueError: if the batch has only one sample.
        """
        softened = F.softmax(peer.logits / self.temperature, dim=1)
        targets = ensembled_targets(softened, checked_features(peer, "BatchEnsembled"), self.propagation)
        log_student = F.log_softmax(student.logits / self.temperature, dim=1)
        return F.kl_div(log_student, targets, reduction="batchmean") * self.temperature**2
