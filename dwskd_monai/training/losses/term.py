"""Terms of the loss, and what they are given."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class StudentOutput(NamedTuple):
    """The output of a network for a batch.

    Args:
        logits: ``(B, C)``.
        features: pooled features ``(B, D)``, the input of the classifier; None if no term needs them.
    """

    logits: Tensor
    features: Tensor | None = None

    def float(self) -> StudentOutput:
        """In float32, whatever the precision of the network."""
        return StudentOutput(self.logits.float(), None if self.features is None else self.features.float())

    def detach(self) -> StudentOutput:
        """Without the gradient."""
        return StudentOutput(self.logits.detach(), None if self.features is None else self.features.detach())


class DistillationTerm(nn.Module):
    """What a student learns from its peer; derive your own term from this class.

    ``forward`` gets float32 tensors; those of the peer have no gradient. If the term needs features, set
    ``needs_features = True`` in the class. A config names the term::

        distillation_term:
          _target_: my_package.MyTerm
          temperature: "@temperature"

    Args:
        temperature: T > 0, which softens logits; a term may ignore it.

    Examples:
        >>> import torch
        >>> class LogitDistance(DistillationTerm):
        ...     def forward(self, student, peer):
        ...         return (student.logits - peer.logits).square().mean()
        >>> LogitDistance()(StudentOutput(torch.tensor([[3.0, 0.0]])), StudentOutput(torch.tensor([[1.0, 0.0]])))
        tensor(2.)
    """

    needs_features = False
    """Whether the term needs ``student.features`` and ``peer.features``."""

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be greater than 0, got {temperature}")
        self.temperature = temperature

    def forward(self, student: StudentOutput, peer: StudentOutput) -> Tensor:
        """The term: a scalar, the mean over the batch.

        Args:
            student: logits and features of the student that learns.
            peer: those of the student that teaches.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward(student, peer)")


def checked_features(output: StudentOutput, name: str) -> Tensor:
    """The features ``(B, D)`` of a batch of at least two images, which can be compared with each other.

    Args:
        output: of one student.
        name: of the term, for the message.

    Raises:
        ValueError: if there are no features, or the batch has only one image.
    """
    if output.features is None:
        raise ValueError(f"{name} needs the pooled features of both students")
    if len(output.features) < 2:
        raise ValueError(f"{name} needs a batch of at least 2 samples, got features of {tuple(output.features.shape)}")
    return output.features
