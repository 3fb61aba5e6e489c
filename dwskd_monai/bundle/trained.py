"""A bundle with its trained network."""

from __future__ import annotations

from pathlib import Path

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.settings_file import read_settings


class TrainedBundle:
    """A bundle with its network, and the settings that were written beside the weights.

    Args:
        bundle: the folder; its override ``checkpoint`` or ``ckpt_dir`` names other weights than ``models/model.pt``.

    Attributes:
        weights: the file of the network's state dict.
        settings: those that the network was trained with.
        network: on the CPU, in evaluation mode; from slices ``(B, C, H, W)`` to logits ``(B, K)``.

    Raises:
        FileNotFoundError: if there are no weights.
        ValueError: for an override that contradicts the training, weights without their settings, or classes that were
            renamed since.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.weights = bundle.checkpoint
        self.settings = read_settings(self.weights)
        self.settings.check_use(bundle.overrides, [bundle.class_names])
        self.network = self.settings.load_network()

    @property
    def models(self) -> Path:
        """The folder of the weights."""
        return self.weights.parent
