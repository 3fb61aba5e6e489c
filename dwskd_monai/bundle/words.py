"""What the words of a command line stand for: ``false`` and ``null`` are texts there, which Python takes for true.

No other module knows these words; constructors take values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_COUNTS = (
    "num_classes", "in_chans", "image_size", "slices_per_study", "batch_size", "num_workers", "seed", "top_k",
    "max_epochs", "label_views", "accumulation_steps", "val_interval", "folds", "fold",
)  # fmt: skip
_WORDS = {"true": True, "false": False, "null": None}


def has_words(values: Iterable[Any]) -> bool:
    """Whether one of the values is, or contains, a word that stands for another value."""
    return any(_holds_word(value) for value in values)


def _holds_word(value: Any) -> bool:
    if isinstance(value, dict):
        return has_words(value.values())
    if isinstance(value, (list, tuple)):
        return has_words(value)
    return isinstance(value, str) and value.lower() in _WORDS


def as_values(content: Any) -> Any:
    """The content of a config, with the values that YAML has for the words ``true``, ``false`` and ``null``."""
    if isinstance(content, dict):
        return {key: as_values(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [as_values(value) for value in content]
    if isinstance(content, str):
        return _WORDS.get(content.lower(), content)
    return content


def checked_type(key: str, value: Any, default: Any) -> None:
    """Refuse a value that cannot be meant: anything but true or false for a switch, or a word for a number.

    Args:
        key: of the setting, for the message.
        value: the value that overrides it; expressions and references are not checked.
        default: the value in the config's file.

    Raises:
        ValueError: if the type of the value is not that of the default.
    """
    if isinstance(value, str) and value.startswith(("$", "@", "%")):
        return
    if isinstance(value, str) and value.lower() == "none" and isinstance(default, str) and default.startswith("$"):
        raise ValueError(f"{key} must be a value, or null for nothing; got {value!r}")
    if isinstance(default, bool) and not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false; got {value!r}")
    if isinstance(default, (int, float)) and not isinstance(default, bool) and isinstance(value, str):
        raise ValueError(f"{key} must be a number, such as {default}; got {value!r}")


def refuse_fractions(settings: Mapping[str, Any]) -> None:
    """Refuse a count that is no whole number, which some parts of a training would take, and others stop at.

    Args:
        settings: keys of a config and their values; only those that count something are checked.

    Raises:
        ValueError: the message names the setting.
    """
    for name in _COUNTS:
        if isinstance(settings.get(name), float):
            raise ValueError(f"{name} must be a whole number; got {settings[name]}")
