"""What a command line's words stand for: it has ``false`` and ``null`` as texts, of which Python takes both for true.

This is the only place that knows them; constructors take values.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_WORDS = {"true": True, "false": False, "null": None}


def has_words(values: Iterable[Any]) -> bool:
    """Whether one of the values is, or holds, a word that stands for another value."""
    return any(_holds_word(value) for value in values)


def _holds_word(value: Any) -> bool:
    if isinstance(value, dict):
        return has_words(value.values())
    if isinstance(value, (list, tuple)):
        return has_words(value)
    return isinstance(value, str) and value.lower() in _WORDS


def as_values(content: Any) -> Any:
    """A config's content in which the words ``true``, ``false`` and ``null`` are the values that YAML has for them."""
    if isinstance(content, dict):
        return {key: as_values(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [as_values(value) for value in content]
    if isinstance(content, str):
        return _WORDS.get(content.lower(), content)
    return content


def checked_type(key: str, value: Any, default: Any) -> None:
    """Refuse a value that cannot be meant: something else than true or false for a switch, a word for a number.

    Args:
        key: of the setting, for the message.
        value: what it was overridden with; an expression or a reference may give anything.
        default: what the config's file has.

    Raises:
        ValueError: if the value is of another type than the default.
    """
    if isinstance(value, str) and value.startswith(("$", "@", "%")):
        return
    if isinstance(value, str) and value.lower() == "none" and isinstance(default, str) and default.startswith("$"):
        raise ValueError(f"{key} must be a value, or null for nothing; got {value!r}")
    if isinstance(default, bool) and not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false; got {value!r}")
    if isinstance(default, (int, float)) and not isinstance(default, bool) and isinstance(value, str):
        raise ValueError(f"{key} must be a number, such as {default}; got {value!r}")
