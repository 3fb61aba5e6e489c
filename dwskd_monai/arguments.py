"""What a command line makes of YAML's words.

``python -m monai.bundle run … --resume false`` gives the text ``"false"``, which Python takes for true, and ``null``
the text ``"null"``; ``None`` it does not pass on at all.
"""

from __future__ import annotations

from typing import Any


def flag(name: str, value: bool | str) -> bool:
    """True or False, also from the words ``true`` and ``false``.

    Raises:
        ValueError: for anything else, with the argument's name.
    """
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word not in ("true", "false"):
        raise ValueError(f"{name} must be true or false; got {value!r}")
    return word == "true"


def optional(value: Any) -> Any:
    """None for the words ``null`` and ``none``, anything else as it is."""
    return None if isinstance(value, str) and value.lower() in ("null", "none") else value
