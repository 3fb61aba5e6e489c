"""The names of a bundle's classes. Nothing slow is imported here, since ``render`` needs the names too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dwskd_monai.class_order import ClassNames, in_order

_OF_CODE = {"scheme", "value", "meaning"}
_LONGEST_CODE = 16  # DICOM's


def class_names_of(metadata: Mapping[str, Any]) -> list[str]:
    """The names in a bundle's ``metadata.json``, in the order of the network's outputs."""
    return in_order(metadata["network_data_format"]["outputs"]["pred"]["channel_def"])


def class_codes_of(metadata: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The codes of classes, by their names, that a bundle's ``metadata.json`` may have under ``class_codes``.

    Examples:
        >>> code = {"scheme": "SCT", "value": "233604007", "meaning": "Pneumonia"}
        >>> classes = {"0": "healthy", "1": "pneumonia"}
        >>> data_format = {"outputs": {"pred": {"channel_def": classes}}}
        >>> class_codes_of({"network_data_format": data_format, "class_codes": {"pneumonia": code}})
        {'pneumonia': {'scheme': 'SCT', 'value': '233604007', 'meaning': 'Pneumonia'}}

    Raises:
        ValueError: for a class that the bundle does not have, or a code that is not one.
    """
    codes: dict[str, dict[str, str]] = metadata.get("class_codes", {})
    names = class_names_of(metadata)
    unknown = [name for name in codes if name not in names]
    if unknown:
        raise ValueError(
            f"class_codes in configs/metadata.json: {', '.join(unknown)}; expected classes of this bundle: "
            f"{', '.join(names)}"
        )
    for name, code in codes.items():
        texts = set(code) == _OF_CODE and all(isinstance(text, str) and text for text in code.values())
        if not texts or any(len(code[part]) > _LONGEST_CODE for part in ("scheme", "value")):
            raise ValueError(
                f"class_codes in configs/metadata.json: the code of {name} is {code}; expected the texts scheme (SCT, "
                f"for instance), value (each of at most {_LONGEST_CODE} characters) and meaning"
            )
    return codes


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
