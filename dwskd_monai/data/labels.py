"""What the label of an item may be: an index, a name, or a file with one of these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dwskd_monai.class_order import ClassNames, in_order
from dwskd_monai.data.text import read_text

__all__ = ["ClassNames", "label_index"]
_MOST_DIGITS = 9


def label_index(label: Any, class_names: ClassNames, place: str) -> int:
    """The index of a class.

    Args:
        label: its index; or a text: its name or index, or the path of a JSON file ``{"label": name or index}``, in
            which MONAI Label keeps submitted labels.
        class_names: names in the order of the indices, or ``channel_def`` of the metadata.
        place: what messages call the item.

    Raises:
        ValueError: for a label that is none of these; the message names the classes.
    """
    names = in_order(class_names)
    if isinstance(label, str) and label.endswith(".json"):
        return _written(_in_file(Path(label), place), names, f"{place}: {label}")
    if isinstance(label, int) and not isinstance(label, bool):  # from a program, not a file: never a name
        return _checked(label, names, place)
    return _written(label, names, place)


def _written(label: Any, names: list[str], place: str) -> int:
    """The index of a class that a file gives by name or index; if the names are themselves numbers, by name only.

    With the classes ``1``, ``2`` and ``3``, the label 1 is the first class, and 0 is none of them.
    """
    text = "" if label is None else str(label).strip()
    if text in names:
        return names.index(text)
    if any(name.isdecimal() for name in names):
        what = f"unknown label {text!r}" if text else "no label"
        shown = ", ".join(names)
        raise ValueError(f"{place}: {what}; expected one of {shown}, which are names of classes, not indices")
    if text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) < len(names):
        return int(text)
    raise _unknown(text, names, place)


def _checked(index: int, names: list[str], place: str) -> int:
    if not 0 <= index < len(names):
        raise _unknown(str(index), names, place)
    return index


def _unknown(text: str, names: list[str], place: str) -> ValueError:
    what = f"unknown label {text!r}" if text else "no label"
    return ValueError(f"{place}: {what}; expected one of {', '.join(names)} or 0 to {len(names) - 1}")


def _in_file(path: Path, place: str) -> Any:
    try:
        content = json.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"{place}: {path}: a label file that cannot be read ({error})") from error
    if not isinstance(content, dict) or "label" not in content:
        raise ValueError(f'{place}: {path}: expected {{"label": NAME}}, got {json.dumps(content)[:80]}')
    return content["label"]
