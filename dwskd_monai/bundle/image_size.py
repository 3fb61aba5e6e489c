"""Checks whether the network of a config takes images of its ``image_size``, before any image is read.

Only a network that is made for one size, such as a ViT, has ``network_def#img_size``. The sizes that it can be made for
are tried out, not listed: on the meta device, where tensors have shapes and no values, this takes less than a second.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from monai.bundle import ConfigParser

from dwskd_monai.bundle.decisive import decisive_settings
from dwskd_monai.bundle.running import evaluating_parser

Settings = Mapping[str, Any]
_logger = logging.getLogger(__name__)


def check_image_size(config: ConfigParser | None = None) -> None:
    """Raise if the network is made for one image size and cannot be made for that of the config.

    Networks of timm that take images of any size, and networks of other libraries, are not checked. If
    ``metadata.json`` has a different size, the log says so.

    Args:
        config: a config that trains; None: the config that is being evaluated.

    Raises:
        ValueError: the message names ``image_size``, the network, what it needs, and the nearest sizes that it takes.
        RuntimeError: if ``config`` is None and no config is being evaluated.
    """
    config = evaluating_parser() if config is None else config
    if config is None:
        raise RuntimeError("check_image_size is a part of a config: give the config whose image_size is to be checked")
    settings = decisive_settings(config)
    network = settings["network_def"]
    if not isinstance(network, Mapping) or network.get("_target_") != "timm.create_model":
        return
    made_for, size = network.get("img_size"), settings.get("image_size")
    if made_for is None or size is None:
        return
    problem = _problem(settings, made_for, size)
    if problem is None:
        _compare_with_metadata(config, size)
        return
    if made_for != size:
        raise ValueError(
            f"network_def#img_size is {made_for}, but image_size is {size}; leave network_def#img_size out, it follows "
            "image_size"
        )
    raise ValueError(f"image_size: {_advice(settings, size, problem)}")


def _compare_with_metadata(config: ConfigParser, size: int) -> None:
    """Warn if ``metadata.json`` has another size: MONAI's commands would give the network images that it refuses."""
    metadata = config.get("_meta_")
    if not metadata:  # a config that was read without it
        return
    shape = metadata["network_data_format"]["inputs"]["image"]["spatial_shape"]
    if shape != [size, size]:
        _logger.warning(
            f"configs/metadata.json: spatial_shape of the input is {shape}, but image_size is {size}; set it to "
            f"[{size}, {size}], or MONAI's verify_net_in_out, ckpt_export and onnx_export fail (dwskd pack sets it)"
        )


def _advice(settings: Settings, size: int, problem: Exception) -> str:
    """What the network needs instead of ``size``."""
    name = settings["network_def"]["model_name"]
    network = _created(settings, None)  # for the size that timm makes it for
    for step in sorted({stage["reduction"] for stage in getattr(network, "feature_info", [])}):
        below = size // step * step
        nearest = [multiple for multiple in (below, below + step) if multiple > 0]
        if all(_problem(settings, one, one) is None for one in nearest):
            sizes = " and ".join(map(str, nearest))
            return f"{name} needs a multiple of {step}, got {size}; the nearest {'are' if below else 'is'} {sizes}"
    return f"{name} cannot take {size} ({problem}); timm makes it for {network.default_cfg['input_size'][-1]}"


def _problem(settings: Settings, made_for: Any, size: int) -> Exception | None:
    """Why a network that is made for the size ``made_for`` cannot take images of ``size``; None if it can."""
    try:
        network = _created(settings, made_for)
        for module in network.modules():
            if hasattr(module, "strict_img_size"):
                module.strict_img_size = False  # else timm only compares sizes, and cuts off incomplete patches
        with torch.no_grad():
            network(torch.empty(1, settings["network_def"].get("in_chans", 3), size, size, device="meta"))
    except (AssertionError, RuntimeError, ValueError) as error:
        return error
    return None


def _created(settings: Settings, made_for: Any) -> Any:
    """The network without values; its expressions may use the other settings."""
    definition = {**settings["network_def"], "img_size": made_for}
    with torch.device("meta"):
        return ConfigParser({**settings, "network_def": definition}).get_parsed_content("network_def").eval()
