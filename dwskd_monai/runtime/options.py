"""What words of a command line mean."""

from __future__ import annotations

import ast


def names(text: str) -> list[str]:
    """A list as the messages write it, or one word.

    Raises:
        ValueError: if the text is not a list of words.

    Examples:
        >>> names("['view=LATERAL', 'slices=any']"), names("view=LATERAL")
        (['view=LATERAL', 'slices=any'], ['view=LATERAL'])
    """
    found = ast.literal_eval(text) if text.startswith("[") else [text]
    if not all(isinstance(name, str) for name in found):
        raise ValueError(text)
    return list(found)
