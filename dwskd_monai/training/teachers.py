"""Where the first weights of teacher and students come from."""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import timm
import torch
from torch import nn

from dwskd_monai.weight_selection import (
    FileWeights,
    PairReport,
    Rules,
    SelectionReport,
    Teacher,
    in_classifier,
    select_pair,
    select_weights,
)

PRETRAINED = "pretrained"
RANDOM = "random"
_logger = logging.getLogger(__name__)


def create_teacher(
    model_name: str,
    weights: str = PRETRAINED,
    in_chans: int = 1,
    num_classes: int = 0,
    image_size: int | None = None,
    **model_args: Any,
) -> nn.Module:
    """A timm network with pretrained weights and a new classifier.

    Args:
        model_name: timm name, such as ``convnext_tiny.in12k_ft_in1k``.
        weights: ``pretrained`` downloads timm's weights; a path reads a ``.pt`` or ``.safetensors`` file with the
            state dict of this model (its classifier is left out, its input convolution is adapted to ``in_chans`` and
            its position embedding to the grid, as timm does); ``random`` gives a network that has learned nothing.
        in_chans: channels of the images, 1 for gray ones.
        num_classes: outputs of the new classifier; 0 for none.
        image_size: side of the images in pixels, for a network that is made for one size; None: the size that timm
            makes it for.
        model_args: further arguments of ``timm.create_model``.

    Raises:
        ValueError: if timm knows no such model, or the file's tensors do not fit; the message names them.
        FileNotFoundError: if ``weights`` is a path and the file does not exist.
        OSError: if the pretrained weights could not be downloaded; the message says what else can be done.

    Examples:
        >>> network = create_teacher("resnet18", weights="random", in_chans=1, num_classes=3)
        >>> network.conv1.weight.shape[1], network.fc.out_features
        (1, 3)
        >>> create_teacher("resnet_18", weights="random")
        Traceback (most recent call last):
        ValueError: timm knows no model 'resnet_18'; it has for instance ...
    """
    check_known(model_name)
    size = None if image_size is None else fixed_size(model_name, image_size)
    arguments = {"in_chans": in_chans, "num_classes": num_classes, "img_size": size, **model_args}
    if weights == PRETRAINED:
        return _download(model_name, **arguments)
    network = timm.create_model(model_name, pretrained=False, **arguments)
    if weights != RANDOM:
        load_backbone(network, weights)
    return network


def check_known(model_name: str) -> None:
    """Raise ValueError if timm has no such model; the message names some of its family."""
    if timm.is_model(model_name):
        return
    family = model_name.split(".")[0].split("_")[0]
    close = ", ".join(timm.list_models(f"{family}*")[:8])
    raise ValueError(f"timm knows no model {model_name!r}" + (f"; it has for instance {close}" if close else ""))


def fixed_size(model_name: str, image_size: int) -> int | None:
    """The ``img_size`` of ``timm.create_model`` for a network that is made for one image size, such as a ViT.

    Args:
        model_name: timm name.
        image_size: side of the images in pixels.

    Returns:
        ``image_size``; None if the network takes images of any size, or timm does not know it.
    """
    config = timm.get_pretrained_cfg(model_name)
    return image_size if config is not None and config.fixed_input_size else None


def stochastic_depth(model_name: str, rate: float) -> float | None:
    """The ``drop_path_rate`` of ``timm.create_model``.

    Args:
        model_name: timm name.
        rate: 0 for none.

    Returns:
        ``rate``; None, which timm leaves out, if it is 0 and the network, such as a DenseNet, has no such argument.

    Raises:
        ValueError: if the network does not take it, and the rate is not 0.
    """
    if not timm.is_model(model_name) or _has_stochastic_depth(model_name):
        return rate
    if rate:
        raise ValueError(f"drop_path_rate: {model_name} has no stochastic depth; got {rate}, leave it 0")
    return None


@functools.cache
def _has_stochastic_depth(model_name: str) -> bool:
    """Whether the network takes ``drop_path_rate``, which timm says of no network before it is made."""
    try:
        with torch.device("meta"):
            timm.create_model(model_name, drop_path_rate=0.0)
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        return False
    return True


def open_teacher(model_name: str, weights: str = PRETRAINED, in_chans: int = 1, **model_args: Any) -> Teacher:
    """A teacher to select weights from; weights in a file are read only as a student takes them.

    The teacher has timm's own image size; for a student of another size, positions are resampled.

    Args and Raises: see :func:`create_teacher`.
    """
    if weights in (PRETRAINED, RANDOM):
        return Teacher(create_teacher(model_name, weights, in_chans, **model_args))
    check_known(model_name)
    with torch.device("meta"):
        network = timm.create_model(model_name, pretrained=False, in_chans=in_chans, num_classes=0, **model_args)
    return Teacher(network, weights)


def _download(model_name: str, **model_args: Any) -> nn.Module:
    remedies = (
        f"teacher {model_name}: its pretrained weights could not be downloaded. Run this where the Hugging Face hub "
        "can be reached, or give a file with the state dict: --teacher_weights FILE.pt or FILE.safetensors "
        "(train_teacher.yaml makes one)"
    )
    try:
        return timm.create_model(model_name, pretrained=True, **model_args)
    except (OSError, RuntimeError) as error:
        # errors of the hub are OSErrors, that of a model without pretrained weights is a RuntimeError
        raise OSError(f"{remedies}. The cause: {error}") from error


def load_backbone(network: nn.Module, path: str | Path) -> None:
    """Load a state dict file, except the classifier, into a timm network.

    This is weight selection for a student that is as large as its teacher, so the input convolution and the positions
    are adapted in the same way.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file holds no state dict, or keys or shapes do not match; the message names them.
    """
    in_file = {
        name for name in FileWeights(path, network.state_dict().keys()).names() if not in_classifier(name, network)
    }
    expected = {name for name in network.state_dict() if not in_classifier(name, network)}
    problems = {"missing": expected - in_file, "unexpected": in_file - expected}
    if any(problems.values()):
        shown = [f"{what} {_some(names)}" for what, names in problems.items() if names]
        raise ValueError(f"{path}: does not fit {_architecture(network)}: {'; '.join(shown)}")
    try:
        select_weights(Teacher(network, path), network)
    except ValueError as error:
        raise ValueError(f"{path}: does not fit {_architecture(network)}: {error}") from error
    _logger.info("%s: %d tensors loaded, the classifier is new", path, len(in_file))


def _some(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _architecture(network: nn.Module) -> str:
    return str(cast(Any, network).default_cfg.get("architecture", type(network).__name__))


def initialize_teacher(
    network: nn.Module,
    model_name: str,
    weights: str = PRETRAINED,
    in_chans: int = 1,
    image_size: int | None = None,
    **model_args: Any,
) -> None:
    """Give a network the teacher's weights; its classifier keeps its new weights.

    Args and Raises: see :func:`create_teacher`; ``network`` is the model ``model_name`` of timm, changed in place.
    """
    teacher = create_teacher(model_name, weights, in_chans, image_size=image_size, **model_args)
    network.load_state_dict(network.state_dict() | teacher.state_dict())


def initialize_students(
    main: nn.Module,
    auxiliary: nn.Module | None,
    teacher: nn.Module | Teacher,
    *,
    layers: str | Mapping[str, Sequence[int]] = "first",
    elements: str = "uniform",
    offset: float = 0.0,
    seed: int = 0,
    rescale: bool = False,
    complementary: bool = True,
) -> SelectionReport | PairReport:
    """Weight selection for a bundle: :func:`~dwskd_monai.weight_selection.select_pair`, with its report logged.

    Args:
        main: the student that is deployed; changed in place.
        auxiliary: the student that main learns with; changed in place. None: main alone is initialized.
        teacher: the teacher's network, or where its weights are.
        layers, elements, offset, seed, rescale: see :class:`~dwskd_monai.weight_selection.Rules`.
        complementary: False gives both students the same subset.
    """
    rules = Rules(layers, elements, offset, seed, rescale)
    teacher = Teacher.of(teacher)
    report: SelectionReport | PairReport
    if auxiliary is None:
        report = select_weights(teacher, main, rules)
    else:
        report = select_pair(teacher, main, auxiliary, rules, complementary=complementary)
    teacher_size = _size(teacher.network)
    student_size = _size(main)
    _logger.info(
        "weight selection: %s; student %d of %d parameters (%.3f)",
        report,
        student_size,
        teacher_size,
        student_size / teacher_size,
    )
    return report


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
