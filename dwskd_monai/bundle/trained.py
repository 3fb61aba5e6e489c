"""A bundle with its trained network, and images as this network gets them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from torch import Tensor

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.settings_file import read_settings


class TrainedBundle:
    """A bundle with its network, and the settings that were written beside the weights.

    Args:
        bundle: the folder; its override ``checkpoint`` or ``ckpt_dir`` names other weights than ``models/model.pt``.
        command: the command whose options the overrides were, for messages.

    Attributes:
        settings: those that the network was trained with.
        network: on the CPU, in evaluation mode; from slices ``(B, C, H, W)`` to logits ``(B, K)``.

    Raises:
        FileNotFoundError: if there are no weights.
        ValueError: for an unknown override or one that contradicts the training, weights without their settings, or
            classes that were renamed since.
    """

    def __init__(self, bundle: Bundle, command: str) -> None:
        bundle.refuse_unknown_overrides(command, "inference", "train")
        self.bundle = bundle
        self.settings = read_settings(bundle.checkpoint)
        self.settings.check_use(bundle.overrides, [bundle.class_names])
        self.network = self.settings.load_network()

    @property
    def weights(self) -> Path:
        """The file of the network's state dict."""
        return self.bundle.checkpoint

    @property
    def models(self) -> Path:
        """The folder of the weights."""
        return self.weights.parent

    @cached_property
    def inference(self) -> ConfigParser:
        """The bundle's ``inference.yaml`` with its overrides."""
        return self.bundle.config("inference")

    def slices(self, dataset_dir: Path, most: int) -> Tensor:
        """The first slices ``(N, C, H, W)`` of an image or a folder of images, preprocessed.

        Args:
            dataset_dir: the image or folder.
            most: N is at most this.

        Raises:
            FileNotFoundError, ValueError: if there is no image, or one cannot be read.
        """
        self.inference["dataset_dir"] = str(dataset_dir)
        self.inference["refused"] = None  # an image that cannot be used raises an error
        self.inference.parse(reset=True)
        slices: list[Tensor] = []
        for item in self.inference.get_parsed_content("dataset"):
            slices.append(item["image"])
            if len(slices) == most:
                break
        return torch.stack(slices)
