"""A picture that is a part of a page, so that the page is one file."""

from __future__ import annotations

import base64
from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Args:
        title: its caption.
        words: what is seen on it, for those who do not see it.
        source: a data URI.
    """

    title: str
    words: str
    source: str


def data_uri(content: bytes, kind: str) -> str:
    """A file as the address of an image in a page; ``kind`` is ``jpeg``, ``png`` or ``svg+xml``."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
