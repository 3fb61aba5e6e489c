"""Validation images that are copies of training images: they measure what the network remembers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import ignite.distributed as idist
import numpy as np
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray

from dwskd_monai.data.near_copies import SIDE, near_copies

_MOST_SHOWN = 3
_logger = logging.getLogger(__name__)


class Pictured(Protocol):
    """A dataset of images, each with a picture of it."""

    data: Sequence[Mapping[str, Any]]

    def middle_slices(self, side: int) -> NDArray[np.float32]:
        """The middle slice of each image."""


def warn_near_copies(training: Pictured, validation: Pictured) -> None:
    """Log which validation images show the same as training images: resized, mirrored or saved again.

    Exact copies in two splits were refused when the images were listed. The command ``check`` finds and shows copies in
    all splits.

    Args:
        training, validation: datasets that have read their images.
    """
    if idist.get_rank() > 0:
        return
    items = [*training.data, *validation.data]
    pictures = np.concatenate([training.middle_slices(SIDE), validation.middle_slices(SIDE)])
    count = len(training.data)
    pairs = [pair for pair in near_copies(pictures) if pair.first < count <= pair.second]
    if pairs:
        names = [f"{_name(items[pair.second])} of {_name(items[pair.first])}" for pair in pairs[:_MOST_SHOWN]]
        _logger.warning(
            "%d validation images are copies of training images, changed a little: %s%s; dwskd check shows them",
            len({pair.second for pair in pairs}), ", ".join(names), ", …" if len(pairs) > _MOST_SHOWN else "",
        )  # fmt: skip


def _name(item: Mapping[str, Any]) -> str:
    return Path(str(item[CommonKeys.IMAGE])).name
