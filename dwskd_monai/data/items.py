"""What the items of a datalist say of their images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.transforms import Compose
from monai.utils.enums import CommonKeys
from torch import Tensor

READING_ERRORS = (ValueError, OSError, RuntimeError)  # what transforms raise over an image; RuntimeError is MONAI's


def study_of(item: Mapping[str, Any]) -> str:
    """The study of an item; an image without one is a study of its own."""
    return str(item.get("study", item[CommonKeys.IMAGE]))


def volume_of(transform: Compose, item: Mapping[str, Any]) -> Tensor:
    """The volume ``(C, D, H, W)`` that deterministic transforms make of an item's image."""
    volume = torch.as_tensor(transform(dict(item))[CommonKeys.IMAGE])
    if volume.ndim != 4:
        raise ValueError(
            f"{item[CommonKeys.IMAGE]}: expected (C, D, H, W) after preprocessing, got {tuple(volume.shape)}"
        )
    return volume


def without_wrapping(error: BaseException) -> BaseException:
    """What a transform raised, without MONAI's "applying transform …" around it."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error
