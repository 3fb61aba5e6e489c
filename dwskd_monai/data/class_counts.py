"""How many images each class has, and what follows if a class has none."""

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
    """Warn if a class has no image on which it can be measured."""
    missing = _missing(images, names)
    if missing:
        _logger.warning(
            "%s: no %s image of class %s (%s): its sensitivity and AUC are undefined, and balanced accuracy is the "
            "mean of the other classes", source, split, ", ".join(missing), counted(images, names),
        )  # fmt: skip


def check_validation(items: Sequence[Mapping[str, Any]], class_names: ClassNames) -> None:
    """Refuse validation images of a single class: a network that always predicts this class would be the best.

    On a MONAI Label server, which gives labels as JSON files, this is only a warning: its user can only label more.

    Args:
        items: with a ``label`` that :func:`~dwskd_monai.data.labels.label_index` takes.
        class_names: names in the order of the labels, or ``channel_def`` of the metadata.

    Raises:
        ValueError: the message has the number of images of each class.
    """
    names = in_order(class_names)
    labels = [label_index(item.get(CommonKeys.LABEL), names, str(item[CommonKeys.IMAGE])) for item in items]
    if len(set(labels)) == 1 < len(names):
        said = f"the validation images are all of one class ({_shown(labels, names)}), and cannot tell the best epoch"
        if any(str(item.get(CommonKeys.LABEL)).endswith(".json") for item in items):  # of a MONAI Label server
            _logger.warning("%s; the network with the highest recall is kept; label images of other classes", said)
            return
        raise ValueError(f"{said}; give validation images of two or more classes")


def _missing(images: Sequence[LabeledImage], names: Sequence[str]) -> list[str]:
    present = {image.label for image in images}
    return [name for index, name in enumerate(names) if index not in present]


def _shown(labels: Sequence[int], names: Sequence[str]) -> str:
    counts = Counter(labels)
    return ", ".join(f"{name} {counts[index]}" for index, name in enumerate(names))
