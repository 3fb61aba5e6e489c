"""The names of a bundle's classes. Nothing slow is imported here, since ``render`` needs the names too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dwskd_monai.class_order import ClassNames, in_order


def class_names_of(metadata: Mapping[str, Any]) -> list[str]:
    """The names in a bundle's ``metadata.json``, in the order of the network's outputs."""
    return in_order(metadata["network_data_format"]["outputs"]["pred"]["channel_def"])


def check_classes(class_names: ClassNames, num_classes: int) -> None:
    """Raise if the number of the network's outputs is not that of the classes in ``metadata.json``.

    Args:
        class_names: names in the order of the outputs, or ``channel_def`` of the metadata.
        num_classes: outputs of the network.

    Raises:
        ValueError: the message says where both are set.
    """
    names = in_order(class_names)
    if len(names) != num_classes:
        raise ValueError(
            f"num_classes is {num_classes}, but configs/metadata.json names {len(names)} classes ({', '.join(names)}); "
            "set num_classes in the configs, or channel_def and num_channels of outputs.pred in metadata.json"
        )
