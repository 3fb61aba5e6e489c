"""The deployed network of a bundle, with its weights, and images as it gets them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from dwskd_monai.bundle.bundle import Bundle

MODEL = "model.pt"


class TrainedBundle:
    """A bundle with the weights that a training left.

    Args:
        bundle: with what the network was trained with as overrides.
        models: folder of ``model.pt``; the bundle's own by default.
        command: whose options the overrides were among, for messages.

    Attributes:
        network: on the CPU, in evaluation mode; from slices ``(B, C, H, W)`` to logits ``(B, K)``.

    Raises:
        FileNotFoundError: if there is no ``model.pt``.
        ValueError: for an unknown override, or weights of another network.
    """

    def __init__(self, bundle: Bundle, models: Path | None, command: str) -> None:
        self.bundle = bundle
        self.models = bundle.folder / "models" if models is None else models
        bundle.refuse_unknown_overrides(command, "inference", "train")
        self.network = self._load()

    @property
    def weights(self) -> Path:
        """The file of the network's state dict."""
        return self.models / MODEL

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
        self.inference.parse(reset=True)
        slices: list[Tensor] = []
        for item in self.inference.get_parsed_content("dataset"):
            slices.append(item["image"])
            if len(slices) == most:
                break
        return torch.stack(slices)

    def _load(self) -> nn.Module:
        if not self.weights.is_file():
            raise FileNotFoundError(
                f"{self.weights} does not exist; train the bundle first, or give the folder: --models"
            )
        network: nn.Module = self.inference.get_parsed_content("network_def")
        try:
            network.load_state_dict(torch.load(self.weights, map_location="cpu", weights_only=True))
        except RuntimeError as error:
            student = self.inference["student"]
            classes = self.inference["num_classes"]
            raise ValueError(
                f"{self.weights} does not fit the bundle's network (student {student}, {classes} classes); give what "
                f"it was trained with, such as --student NAME. {error}"
            ) from error
        return network.eval()
