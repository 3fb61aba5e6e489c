"""What words of a command line mean."""

from __future__ import annotations

import argparse
import ast
from contextlib import suppress


def names(text: str) -> list[str]:
    """A list as the messages write it, or one word.

    Raises:
        argparse.ArgumentTypeError: if the text is not a list of words.

    Examples:
        >>> names("['view=LATERAL', 'slices=any']"), names("view=LATERAL")
        (['view=LATERAL', 'slices=any'], ['view=LATERAL'])
    """
    if not text.startswith("["):
        return [text]
    with suppress(ValueError, SyntaxError):
        found = ast.literal_eval(text)
        if all(isinstance(name, str) for name in found):
            return list(found)
    raise argparse.ArgumentTypeError(f"expected a list such as ['view=LATERAL', 'slices=any'], got {text}")


def threads(text: str) -> int:
    """A number of threads; 0: one for each core.

    Raises:
        argparse.ArgumentTypeError: if it is none.
    """
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more; got {text!r}")
    return int(text)
