"""What words of a command line mean."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable
from typing import Any


def names(text: str) -> list[str]:
    """A list as the messages write it, or one word.

    Raises:
        ValueError: if the text is not a list of words.

    Examples:
        >>> names("['view=LATERAL', 'slices=any']"), names("view=LATERAL")
        (['view=LATERAL', 'slices=any'], ['view=LATERAL'])
    """
    try:
        found = ast.literal_eval(text) if text.startswith("[") else [text]
    except (ValueError, SyntaxError):  # a shell takes the quotes away: [view=LATERAL]
        found = None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError(f"expected a list such as ['view=LATERAL', 'slices=any'], got {text}")
    return found


def threads(text: str) -> int:
    """A number of threads; 0: one for each core.

    Raises:
        ValueError: if it is none.
    """
    if not text.isdecimal():
        raise ValueError(f"expected a whole number, 0 or more; got {text!r}")
    return int(text)


def checked(check: Callable[[str], Any]) -> Callable[[str], Any]:
    """What argparse calls with a word of the command line; it would replace the text of a ValueError with its own."""

    def read(text: str) -> Any:
        try:
            return check(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read
