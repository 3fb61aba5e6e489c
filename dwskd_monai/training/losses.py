"""The self-distillation objective: a task loss, a term of the logits and an optional term of the features.

The terms take plain tensors and know no engine. For main (logits ``z_m``, features ``h_m``) that learns with the
auxiliary (``z_a``, ``h_a``, detached by the caller or here)::

    L_m = CE(z_m, y) + λ · T² · KL(softmax(z_a / T) ‖ softmax(z_m / T)) + γ · d(h_m, h_a)

In place of the softened Kullback-Leibler term there can be that of standardised logits, or that of targets which
similar samples of the batch share.

Reference: Tsutsumi et al., arXiv 2508.20461; the softened term is Hinton et al., arXiv 1503.02531, equation 4.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DISTILLATION_TERMS = ("kl", "logit_standard", "bake")


def softened_kl(logits: Tensor, peer_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """T² · KL(softmax(peer / T) ‖ softmax(logits / T)), mean over the batch (Hinton et al., arXiv 1503.02531).

    Args:
        logits: of the student that learns, ``(B, C)``.
        peer_logits: of the student that teaches, ``(B, C)``; no gradient flows into them.
        temperature: T > 0; T² keeps the size of the gradient when T changes.

    Returns:
        Scalar, in nats.
    """
    log_student = F.log_softmax(logits / temperature, dim=1)
    log_peer = F.log_softmax(peer_logits.detach() / temperature, dim=1)
    return F.kl_div(log_student, log_peer, reduction="batchmean", log_target=True) * temperature**2


def standardised(logits: Tensor) -> Tensor:
    """Logits ``(B, C)``, each row with mean 0 and standard deviation 1 (Sun et al., arXiv 2403.01265, algorithm 1)."""
    return F.layer_norm(logits, logits.shape[1:])  # with an epsilon, for logits that are all equal


def logit_standard(logits: Tensor, peer_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """:func:`softened_kl` of standardised logits (Sun et al., *Logit Standardization*, arXiv 2403.01265).

    The student learns the relations between the teacher's logits, not their size.

    Args and Returns: as :func:`softened_kl`.
    """
    return softened_kl(standardised(logits), standardised(peer_logits), temperature)


def ensembled_targets(probabilities: Tensor, features: Tensor, propagation: float = 0.5) -> Tensor:
    """Predictions that are shared between similar samples of a batch (Ge et al., *BAKE*, arXiv 2104.13298, section 3).

    ``Q = (1 - ω) (I - ω A)⁻¹ P``, with A the softmax of the cosine similarities between samples, each without itself.

    Args:
        probabilities: P, ``(B, C)``.
        features: pooled features that tell which samples are alike, ``(B, D)``.
        propagation: ω in [0, 1); 0 leaves P as it is.

    Returns:
        Q, ``(B, C)``; each row sums to 1.

    Raises:
        ValueError: if the batch has one sample: there is none to share with.
    """
    if len(features) < 2:
        raise ValueError(f"bake needs a batch of at least 2 samples, got features of shape {tuple(features.shape)}")
    unit = F.normalize(features, dim=1)
    itself = torch.eye(len(unit), device=unit.device)
    affinity = (unit @ unit.T).masked_fill(itself.bool(), -torch.inf).softmax(1)
    shared: Tensor = torch.linalg.solve(itself - propagation * affinity, (1 - propagation) * probabilities)
    return shared


def batch_ensembled_kl(
    logits: Tensor, peer_logits: Tensor, peer_features: Tensor, temperature: float = 1.0, propagation: float = 0.5
) -> Tensor:
    """T² · KL(Q ‖ softmax(logits / T)), Q the peer's softened predictions shared in the batch (arXiv 2104.13298).

    BAKE's student is its own teacher; here the other student's predictions and similarities make the targets.

    Args:
        logits: of the student that learns, ``(B, C)``.
        peer_logits: of the student that teaches, ``(B, C)``; no gradient flows into them.
        peer_features: its pooled features, ``(B, D)``; no gradient flows into them.
        temperature: T > 0.
        propagation: see :func:`ensembled_targets`.

    Returns:
        Scalar, in nats.
    """
    softened = F.softmax(peer_logits.detach() / temperature, dim=1)
    targets = ensembled_targets(softened, peer_features.detach(), propagation)
    log_student = F.log_softmax(logits / temperature, dim=1)
    return F.kl_div(log_student, targets, reduction="batchmean") * temperature**2


def similarity_preserving(features: Tensor, peer_features: Tensor) -> Tensor:
    """Mean squared difference of the two batches' similarity matrices (Tung & Mori, arXiv 1907.09682, equation 4).

    Two complementary students have no neuron in common, so their features cannot be compared one by one; which
    images are alike can be. Rows of ``H·Hᵀ`` are scaled to unit length, and the squared difference is divided by B².

    Args:
        features: pooled features of the student that learns, ``(B, D)``.
        peer_features: of the student that teaches, ``(B, D')``; no gradient flows into them.

    Returns:
        Scalar.

    Raises:
        ValueError: if the batch has one sample: it is like nothing else, so the term would be constant.
    """
    if len(features) < 2:
        raise ValueError(f"similarities need a batch of at least 2 samples, got features of shape {features.shape}")
    ours = F.normalize(features @ features.T, dim=1)
    theirs = F.normalize(peer_features.detach() @ peer_features.detach().T, dim=1)
    return (ours - theirs).square().sum() / len(features) ** 2


class SelfDistillationLoss(nn.Module):
    """Task loss of one student plus what it learns from the other.

    MONAI and torch have the single terms at most (``torch.nn.KLDivLoss``), not their sum with a weight that ramps up.

    Args:
        task_loss: loss of logits ``(B, C)`` and labels ``(B,)``; cross-entropy by default.
        distillation: term of the logits: ``kl`` (:func:`softened_kl`), ``logit_standard`` or ``bake``
            (:func:`batch_ensembled_kl`).
        temperature: T > 0.
        weight: λ, the final weight of the softened term, >= 0.
        ramp_up_epochs: epochs over which λ rises from 0, by ``exp(-5 (1 - t)²)`` (Laine & Aila, arXiv 1610.02242);
            0 for none.
        feature_weight: γ >= 0, the weight of :func:`similarity_preserving`; 0 leaves it out.

    Raises:
        ValueError: for a value outside the ranges above; the message names the argument.
    """

    def __init__(
        self,
        task_loss: nn.Module | None = None,
        distillation: str = "kl",
        temperature: float = 2.0,
        weight: float = 1.0,
        ramp_up_epochs: float = 0.0,
        feature_weight: float = 0.0,
    ) -> None:
        super().__init__()
        if distillation not in DISTILLATION_TERMS:
            raise ValueError(f"distillation must be one of {', '.join(DISTILLATION_TERMS)}; got {distillation!r}")
        if not temperature > 0:
            raise ValueError(f"temperature must be greater than 0, got {temperature}")
        named = {"weight": weight, "ramp_up_epochs": ramp_up_epochs, "feature_weight": feature_weight}
        for name, value in named.items():
            if not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be 0 or greater, got {value}")
        self.task_loss = nn.CrossEntropyLoss() if task_loss is None else task_loss
        self.distillation, self.temperature = distillation, temperature
        self.weight = weight
        self.ramp_up_epochs = ramp_up_epochs
        self.feature_weight = feature_weight

    @property
    def needs_features(self) -> bool:
        """Whether :meth:`forward` needs the students' pooled features."""
        return self.feature_weight > 0 or self.distillation == "bake"

    def weight_at(self, epoch: float) -> float:
        """λ(t) after ``epoch`` epochs (a fraction within an epoch)."""
        if epoch >= self.ramp_up_epochs:
            return self.weight
        remaining = 1 - epoch / self.ramp_up_epochs
        return self.weight * math.exp(-5 * remaining**2)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        peer_logits: Tensor | None = None,
        features: Tensor | None = None,
        peer_features: Tensor | None = None,
        epoch: float = math.inf,
    ) -> Tensor:
        """The objective of one student.

        Args:
            logits: of the student that learns, ``(B, C)``.
            target: labels, ``(B,)``.
            peer_logits: of the other student, ``(B, C)``; None for the task loss alone.
            features: pooled features of the student that learns, ``(B, D)``; see :attr:`needs_features`.
            peer_features: of the other student, ``(B, D)``.
            epoch: epochs trained so far, for the ramp of λ.

        Returns:
            Scalar. In float32, whatever the precision of the logits.
        """
        logits = logits.float()
        loss = self.task_loss(logits, target)
        if peer_logits is None:
            return torch.as_tensor(loss)
        peer_logits = peer_logits.float()
        if self.needs_features and (features is None or peer_features is None):
            raise ValueError("feature_weight > 0 and distillation: bake need the pooled features of both students")
        if self.distillation == "bake":
            assert peer_features is not None
            term = batch_ensembled_kl(logits, peer_logits, peer_features.float(), self.temperature)
        else:
            term = (softened_kl if self.distillation == "kl" else logit_standard)(logits, peer_logits, self.temperature)
        loss = loss + self.weight_at(epoch) * term
        if self.feature_weight > 0:
            assert features is not None
            assert peer_features is not None
            loss = loss + self.feature_weight * similarity_preserving(features.float(), peer_features.float())
        return torch.as_tensor(loss)
