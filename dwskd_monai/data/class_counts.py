"""How many images each class has, and what follows if it has none."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from monai.utils.enums import CommonKeys

from dwskd_monai.class_order import ClassNames, in_order
from dwskd_monai.data.labels import label_index
from dwskd_monai.data.sources import LabeledImage

_logger = logging.getLogger(__name__)


def counted(images: Sequence[LabeledImage], names: Sequence[str]) -> str:
    """The number of images of each class: "a 3, b 0"."""
    return _shown([image.label for image in images], names)


def refuse_missing_classes(images: Sequence[LabeledImage], names: Sequence[str], source: object) -> None:
    """Raise ValueError if a class has no training image."""
    missing = _missing(images, names)
    if missing:
        raise ValueError(f"{source}: no training image of class {', '.join(missing)}")


def say_missing_classes(images: Sequence[LabeledImage], names: Sequence[str], split: str, source: object) -> None:
    """Warn if a class has no image to be measured on."""
    missing = _missing(images, names)
    if missing:
        _logger.warning(
            "%s: no %s image of class %s (%s): its sensitivity and AUC are undefined, and balanced accuracy is the "
            "mean of the other classes", source, split, ", ".join(missing), counted(images, names),
        )  # fmt: skip


def check_validation(items: Sequence[Mapping[str, Any]], class_names: ClassNames) -> None:
    """Refuse validation images of one class alone: the network that always predicts it would be the best.

    A MONAI Label server, which gives labels as JSON files, is warned only: its user can do no more than label on.

    Args:
        items: with ``label``, as :func:`~dwskd_monai.data.labels.label_index` takes it.
        class_names: names in the order of the labels, or metadata's ``channel_def``.

    Raises:
        ValueError: the message has the number of images of each class.
    """
    names = in_order(class_names)
    labels = [label_index(item.get(CommonKeys.LABEL), names, str(item[CommonKeys.IMAGE])) for item in items]
    if len(set(labels)) == 1 < len(names):
        said = f"the validation images are of one class alone ({_shown(labels, names)}), and cannot tell the best epoch"
        if any(str(item.get(CommonKeys.LABEL)).endswith(".json") for item in items):  # of a MONAI Label server
            _logger.warning("%s; the network of the highest recall is taken; label images of other classes", said)
            return
        raise ValueError(f"{said}; give validation images of two classes or more")


def _missing(images: Sequence[LabeledImage], names: Sequence[str]) -> list[str]:
    present = {image.label for image in images}
    return [name for index, name in enumerate(names) if index not in present]


def _shown(labels: Sequence[int], names: Sequence[str]) -> str:
    counts = Counter(labels)
    return ", ".join(f"{name} {counts[index]}" for index, name in enumerate(names))
