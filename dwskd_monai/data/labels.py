"""What an item's label may be: an index, a name, or a file that says one of these."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ClassNames = Sequence[str] | Mapping[str, str]


def in_order(class_names: ClassNames) -> list[str]:
    """The names in the order of their indices."""
    return list(class_names.values() if isinstance(class_names, Mapping) else class_names)


def label_index(label: Any, class_names: ClassNames, place: str) -> int:
    """The index of a class.

    Args:
        label: its index or name, or the path of a JSON file ``{"label": index or name}``, in which MONAI Label keeps
            what is submitted to it.
        class_names: names in the order of the indices, or metadata's ``channel_def``.
        place: how messages call the item.

    Raises:
        ValueError: for a label that is none of these; the message names the classes.
    """
    names = in_order(class_names)
    if isinstance(label, str) and label.endswith(".json"):
        place = label
        label = _in_file(Path(label))
    text = "" if label is None else str(label).strip()
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    what = f"unknown label {text!r}" if text else "no label"
    raise ValueError(f"{place}: {what}; expected one of {', '.join(names)} or 0 to {len(names) - 1}")


def _in_file(path: Path) -> Any:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: a label file that cannot be read ({error})") from error
    if not isinstance(content, dict) or "label" not in content:
        raise ValueError(f'{path}: expected {{"label": NAME}}, got {json.dumps(content)[:80]}')
    return content["label"]
