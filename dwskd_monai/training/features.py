"""The pooled features of a network, which some terms of the loss compare."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dwskd_monai.training.distributed import unwrap


class PooledFeatures:
    """Catches the input of a network's classifier: the pooled features ``(B, D)`` of the last batch.

    ``forward_features`` and ``forward_head(pre_logits=True)`` of timm give the same, but with several processes, a
    wrapped network averages gradients only if it is called as a whole.

    Args:
        network: a network of timm, or another one with ``get_classifier()``.

    Raises:
        ValueError: if the network has no ``get_classifier()``.
    """

    def __init__(self, network: nn.Module) -> None:
        self._features: Tensor | None = None
        model: Any = unwrap(network)
        if not hasattr(model, "get_classifier"):
            raise ValueError(
                f"a loss that compares features needs a network with get_classifier(), which networks of timm have; "
                f"got {type(model).__name__}"
            )
        model.get_classifier().register_forward_pre_hook(self._catch)

    def _catch(self, classifier: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._features = inputs[0]

    def take(self) -> Tensor:
        """The features of the last batch; they are then forgotten."""
        features = self._features
        if features is None:
            raise RuntimeError("the network's classifier has not been called since its features were last taken")
        self._features = None
        return features
