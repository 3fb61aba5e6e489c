"""Settings as the text of a YAML file, in the style of the bundles' configs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def yaml_text(header: str, content: Mapping[str, Any]) -> str:
    """The text of a file.

    Args:
        header: its first line, a comment.
        content: keys and values, in their order.
    """
    body = yaml.safe_dump(_plain(content), sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    return f"{header}{body}"


def _plain(value: Any) -> Any:
    """Content that YAML can write without names of Python types, and without references to shared parts."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
