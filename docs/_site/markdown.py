"""Markdown, from texts of docstrings and comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SUFFIX = "csv|json|md|png|pt|safetensors|yaml|zip"
_VALUE = r"[A-Z]{2,}[\w/.]*|\d[\d.]*|[\w.]+_[\w.]+|true|false|null"
_CODE = re.compile(rf"(?<![\w/])(--[\w#@]+(?: (?:{_VALUE}))?|\$?[\w./#]*_[\w./#]*\w|[\w/]+\.(?:{_SUFFIX}))\b")


def in_markdown(text: str) -> str:
    """A text of a docstring: its literals have one backtick in Markdown."""
    return with_code(" ".join(re.sub(r"``(.+?)``", r"`\1`", text).split()))


def with_code(text: str) -> str:
    """A text in which options, names with underscores and names of files are literals."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else _CODE.sub(r"`\1`", part) for part in parts)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, a list of cells for each row."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
