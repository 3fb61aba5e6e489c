"""What the items of a datalist say about their images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from monai.transforms import Compose
from monai.utils.enums import CommonKeys
from torch import Tensor

from dwskd_monai.files import DiskFullError
from dwskd_monai.reading.slice_axis import UNKNOWN_PLANE


class PreparedImage(NamedTuple):
    """An image after the deterministic transforms.

    Args:
        volume: its slices ``(C, D, H, W)``.
        plane: in which they were cut: ``axial``, ``coronal``, ``sagittal`` or ``unknown``.
    """

    volume: Tensor
    plane: str


def study_of(item: Mapping[str, Any]) -> str:
    """The study of an item; an image without one is a study of its own."""
    return str(item.get("study", item[CommonKeys.IMAGE]))


def prepare(transform: Compose, item: Mapping[str, Any]) -> PreparedImage:
    """What deterministic transforms make from an item's image."""
    result = transform(dict(item))
    volume = torch.as_tensor(result[CommonKeys.IMAGE])
    if volume.ndim != 4:
        raise ValueError(
            f"{item[CommonKeys.IMAGE]}: expected (C, D, H, W) after preprocessing, got {tuple(volume.shape)}"
        )
    return PreparedImage(volume, str(result.get(f"{CommonKeys.IMAGE}_plane", UNKNOWN_PLANE)))


def read_prepared(transform: Compose, item: Mapping[str, Any]) -> PreparedImage:
    """:func:`prepare` an item; raises what a transform raised, without MONAI's "applying transform ..." around it."""
    try:
        return prepare(transform, item)
    except RuntimeError as error:
        cause: BaseException = error
        while isinstance(cause, RuntimeError) and cause.__cause__ is not None:
            cause = cause.__cause__
        raise cause from cause.__cause__


def is_refusal(error: BaseException) -> bool:
    """Whether an error is about an image; other errors are about the disk, a library or a fault of a program."""
    return isinstance(error, (ValueError, OSError)) and not isinstance(error, DiskFullError)
