"""The deployed network of a bundle, with its weights, and images as it gets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from dwskd_monai.bundle.configs import read_config, refuse_unknown

MODEL = "model.pt"


@dataclass(frozen=True)
class Deployed:
    """A network that was trained.

    Args:
        bundle: folder of its bundle.
        models: folder of its ``model.pt``.
        inference: the bundle's ``inference.yaml``, with what the network was trained with.
        network: on the CPU, in evaluation mode; from slices ``(B, C, H, W)`` to logits ``(B, K)``.
    """

    bundle: Path
    models: Path
    inference: ConfigParser
    network: nn.Module

    @property
    def class_names(self) -> list[str]:
        """In the order of the logits."""
        return list(self.inference["_meta_#network_data_format#outputs#pred#channel_def"].values())

    def slices(self, dataset_dir: Path, most: int) -> Tensor:
        """The first slices ``(N, C, H, W)`` of a study or a folder of studies, preprocessed.

        Raises:
            FileNotFoundError, ValueError: as :func:`~dwskd_monai.data.images.list_images` and the reading of studies.
        """
        self.inference["dataset_dir"] = str(dataset_dir)
        self.inference.parse(reset=True)
        found: list[Tensor] = []
        for item in self.inference.get_parsed_content("dataset"):
            found.append(item["image"])
            if len(found) == most:
                break
        return torch.stack(found)


def load_network(inference: ConfigParser, path: Path) -> nn.Module:
    """The network that a bundle's ``inference.yaml`` describes, with the weights of a file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the weights are of another network.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; train the bundle first, or give the folder: --models")
    network: nn.Module = inference.get_parsed_content("network_def")
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except RuntimeError as error:
        raise ValueError(
            f"{path} does not fit the bundle's network (student {inference['student']}, {inference['num_classes']} "
            f"classes); give what it was trained with, such as --student NAME. {error}"
        ) from error
    return network.eval()


def load_deployed(bundle: Path, models: Path | None, overrides: Mapping[str, Any], command: str) -> Deployed:
    """A bundle's network with its weights.

    Args:
        bundle: its folder.
        models: folder of ``model.pt``; the bundle's own by default.
        overrides: ids of the configs, and values that the network was trained with.
        command: whose options the overrides were among, for messages.

    Raises:
        FileNotFoundError, ValueError: see :func:`read_config`, :func:`refuse_unknown` and :func:`load_network`.
    """
    inference = read_config(bundle, "inference", overrides)
    refuse_unknown(overrides, command, inference, read_config(bundle, "train", {}))
    models = bundle / "models" if models is None else models
    return Deployed(bundle, models, inference, load_network(inference, models / MODEL))
