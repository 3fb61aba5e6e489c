"""Text: reading files that other programs wrote, and listing many lines in a message."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path

# The marks that a text may begin with. The mark of UTF-32 begins with that of UTF-16.
_ENCODINGS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}

_MOST_LINES = 20
_MOST_NAMES = 10


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 if it begins with their mark; line ends are kept.

    No other encoding is tried: with a wrong encoding, a name becomes another name.

    Raises:
        ValueError: if the file has another encoding; the message names the line, the byte and what to do.
    """
    content = path.read_bytes()
    encoding = next((name for mark, name in _ENCODINGS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}: line {line}: byte 0x{content[error.start]:02x} is not {encoding.upper()}; save the file as UTF-8 "
            "(in Excel: CSV UTF-8)"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{path}: line {line}: a zero byte, which a text never has; save the file as UTF-8")
    return text


def listed_lines(lines: Sequence[str]) -> str:
    """The first twenty lines, and how many more there are."""
    more = len(lines) - _MOST_LINES
    rest = [f"and {more} more"] if more > 0 else []
    return "\n".join(f"- {line}" for line in [*lines[:_MOST_LINES], *rest])


def listed(names: Sequence[str]) -> str:
    """The first ten names, and how many more there are, within a line."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
