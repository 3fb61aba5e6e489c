"""Changing configs so that they keep their comments, quotes and lines."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from dwskd_monai.bundle.overrides import parts_of


def with_settings(text: str, settings: Mapping[str, Any]) -> str:
    """The text of a config with new values for some ids.

    Args:
        text: YAML.
        settings: ids such as ``first_weights#_disabled_``, and their values.
    """
    content = read_commented(text)
    for key, value in settings.items():
        set_id(content, key, value)
    return as_text(content)


def set_id(content: Any, key: str, value: Any) -> None:
    """Set an id such as ``first_weights#_disabled_`` in a content that :func:`read_commented` returned."""
    *parents, last = parts_of(key)
    for parent in parents:
        content = content[int(parent)] if isinstance(content, list) else content[parent]
    content[int(last) if isinstance(content, list) else last] = value


def read_commented(text: str) -> Any:
    """The content of a YAML text; it keeps the comments."""
    return _round_trip().load(text)


def as_text(content: Any) -> str:
    """The YAML text of such a content, with its comments."""
    out = io.StringIO()
    _round_trip().dump(content, out)
    return out.getvalue()


def _round_trip() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.representer.add_representer(
        type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml
