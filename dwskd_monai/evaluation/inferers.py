"""Running a network on whole studies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor

from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.studies import predict_study


class StudyInferer(Inferer):
    """Logits of slices ``(B, C, H, W)``, or of whole studies ``(B, C, D, H, W)``: one row for all slices of a study.

    ``monai.inferers.SliceInferer`` returns the outputs of a study's slices as a volume. Here their probabilities are
    aggregated, as :class:`~dwskd_monai.evaluation.predictions.PredictionWriter` does with slices that come in batches.
    For a study, the logarithm of its probabilities is returned, so that a softmax gives the probabilities.

    Args:
        batch_size: how many slices of a study are run at a time.
        aggregation: turns the probabilities of the slices into those of the study.

    Examples:
        >>> study = torch.tensor([2.0, -2.0]).reshape(1, 1, 2, 1, 1)  # one channel, two slices of one pixel
        >>> network = lambda slices: torch.cat([slices.flatten(1), -slices.flatten(1)], 1)
        >>> StudyInferer()(study, network).softmax(1)
        tensor([[0.5000, 0.5000]])
    """

    def __init__(self, batch_size: int = 16, aggregation: Aggregation | None = None) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more slices, got {batch_size}")
        self.batch_size = batch_size
        self.aggregation = Aggregation() if aggregation is None else aggregation

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Logits ``(B, K)``.

        Raises:
            ValueError: if the input has another number of axes.
        """
        if inputs.ndim == 4:
            return network(inputs, *args, **kwargs)
        if inputs.ndim != 5:
            raise ValueError(f"expected slices (B, C, H, W) or studies (B, C, D, H, W), got {tuple(inputs.shape)}")
        return torch.stack([self._study(study, network, *args, **kwargs) for study in inputs])

    def _study(self, study: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        slices = study.movedim(1, 0)
        logits = torch.cat([network(part, *args, **kwargs) for part in slices.split(self.batch_size)])
        probabilities = logits.softmax(1).double().cpu().numpy()
        whole = predict_study("study", probabilities, self.aggregation).probabilities
        return torch.as_tensor(whole, dtype=logits.dtype, device=logits.device).log()
