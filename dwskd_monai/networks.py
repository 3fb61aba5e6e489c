"""Teacher and students: where their first weights come from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

import timm
import torch
from timm.layers import resample_abs_pos_embed
from timm.models import adapt_input_conv, load_state_dict
from torch import Tensor, nn

from dwskd_monai.arguments import flag
from dwskd_monai.weight_selection import PairReport, in_classifier, select_pair

PRETRAINED, RANDOM = "pretrained", "random"
_logger = logging.getLogger(__name__)


def create_teacher(
    model_name: str, weights: str = PRETRAINED, in_chans: int = 1, num_classes: int = 0, **model_args: Any
) -> nn.Module:
    """A timm network with pretrained weights and a new classifier.

    Args:
        model_name: timm name, ``convnext_tiny.in12k_ft_in1k`` for instance.
        weights: ``pretrained`` downloads timm's weights; a path reads a ``.pt`` or ``.safetensors`` file with the
            state dict of this model (its classifier is left out, its input convolution is adapted to ``in_chans``
            and its position embedding to the grid as timm does); ``random`` is a network that has learnt nothing.
        in_chans: channels of the images, 1 for grey ones.
        num_classes: outputs of the new classifier; 0 for none.
        model_args: further arguments of ``timm.create_model``, ``img_size`` for instance.

    Raises:
        ValueError: if timm knows no such model, or the file's tensors do not fit; the message names them.
        FileNotFoundError: if ``weights`` is a path and there is no such file.
        OSError: if the pretrained weights could not be downloaded; the message says both ways out.
    """
    if not timm.is_model(model_name):
        close = ", ".join(timm.list_models(f"{model_name.split('.')[0].split('_')[0]}*")[:8])
        raise ValueError(f"timm knows no model {model_name!r}" + (f"; it has for instance {close}" if close else ""))
    if weights == PRETRAINED:
        return _download(model_name, in_chans=in_chans, num_classes=num_classes, **model_args)
    network = timm.create_model(model_name, pretrained=False, in_chans=in_chans, num_classes=num_classes, **model_args)
    if weights != RANDOM:
        load_backbone(network, weights)
    return network


def _download(model_name: str, **model_args: Any) -> nn.Module:
    ways_out = (
        f"teacher {model_name}: its pretrained weights could not be had. Either run where the Hugging Face hub can be "
        "reached, or give a file with the state dict: --teacher_weights FILE.pt or FILE.safetensors "
        "(train_teacher.yaml makes one)"
    )
    try:
        return timm.create_model(model_name, pretrained=True, **model_args)
    except (
        OSError,
        RuntimeError,
    ) as error:  # huggingface_hub's errors are OSErrors, a missing default is a RuntimeError
        raise OSError(f"{ways_out}. The cause: {error}") from error


def load_backbone(network: nn.Module, path: str | Path) -> None:
    """Load all but the classifier of a state dict file into a timm network.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file holds no state dict, or keys or shapes do not match; the message names them.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"teacher_weights: no file {path}; give a .pt or .safetensors file with the teacher's state dict, or "
            f"{PRETRAINED!r} to download timm's"
        )
    try:
        found = load_state_dict(str(path), device="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise a dozen kinds for a file that is not theirs
        raise ValueError(f"{path}: not a .pt or .safetensors file with a state dict of tensors ({error})") from error
    expected = {k: v for k, v in network.state_dict().items() if not in_classifier(k, network)}
    found = {k: _adapt(k, v, expected[k], network) if k in expected else v for k, v in found.items()}
    found = {k: v for k, v in found.items() if not in_classifier(k, network)}
    problems = [f"missing {k}" for k in expected.keys() - found.keys()]
    problems += [f"unexpected {k}" for k in found.keys() - expected.keys()]
    problems += [
        f"{k}: {tuple(found[k].shape)} in the file, {tuple(v.shape)} in the model"
        for k, v in expected.items()
        if k in found and found[k].shape != v.shape
    ]
    if problems:
        name = cast(Any, network).default_cfg.get("architecture", type(network).__name__)
        raise ValueError(
            f"{path}: does not fit {name}, {len(problems)} of {len(expected)} tensors: "
            + "; ".join(sorted(problems)[:5])
            + ("; …" if len(problems) > 5 else "")
        )
    network.load_state_dict(network.state_dict() | found)
    _logger.info("%s: %d tensors loaded, the classifier is new", path, len(found))


def _adapt(name: str, value: Tensor, target: Tensor, network: nn.Module) -> Tensor:
    """A file's input convolution or position embedding brought to the network's channels and grid, as timm does."""
    first = cast(Any, network).default_cfg["first_conv"]
    if name == f"{first}.weight" and value.shape[1] == 3 != target.shape[1]:
        return torch.as_tensor(adapt_input_conv(target.shape[1], value))
    if name == "pos_embed" and value.shape != target.shape and value.shape[-1] == target.shape[-1]:
        grid = cast(Any, network).patch_embed.grid_size
        prefix = target.shape[1] - grid[0] * grid[1]
        return resample_abs_pos_embed(value, list(grid), num_prefix_tokens=prefix)
    return value


def initialise_teacher(
    network: nn.Module, model_name: str, weights: str = PRETRAINED, in_chans: int = 1, **model_args: Any
) -> None:
    """Give ``network``, a ``model_name`` of timm, the teacher's weights; its classifier stays new.

    Args and Raises: see :func:`create_teacher`.
    """
    teacher = create_teacher(model_name, weights, in_chans, **model_args)
    network.load_state_dict(network.state_dict() | teacher.state_dict())


def initialise_students(
    main: nn.Module,
    auxiliary: nn.Module,
    teacher: nn.Module,
    *,
    layers: str = "first",
    elements: str = "uniform",
    offset: float = 0.0,
    complementary: bool = True,
) -> PairReport:
    """Weight selection for a bundle: :func:`~dwskd_monai.weight_selection.select_pair`, with its report logged.

    Args:
        main: the student that is deployed; changed in place.
        auxiliary: the student that main learns with; changed in place.
        teacher: the large network.
        layers: layer selection.
        elements: element selection.
        offset: shift of the uniform grid, as a fraction of its spacing.
        complementary: False gives both students the same subset.
    """
    complementary = flag("complementary", complementary)
    report = select_pair(
        teacher, main, auxiliary, layers=layers, elements=elements, offset=offset, complementary=complementary
    )
    sizes = [sum(parameter.numel() for parameter in model.parameters()) for model in (teacher, main)]
    _logger.info(
        "weight selection: %s; student %d of %d parameters (%.3f)", report, sizes[1], sizes[0], sizes[1] / sizes[0]
    )
    return report
