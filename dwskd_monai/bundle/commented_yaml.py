"""Changing configs so that they keep their comments, quotes and lines."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, ScalarString

from dwskd_monai.bundle.overrides import parts_of

_FLOAT = "tag:yaml.org,2002:float"


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
    content[int(last) if isinstance(content, list) else last] = _as_read(value)


def _as_read(value: Any) -> Any:
    """A value of which the text is read as this value by YAML 1.1, MONAI's, too: there, ``on`` and ``5e-05`` differ."""
    if isinstance(value, Mapping):
        return {name: _as_read(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_read(part) for part in value]
    if isinstance(value, str) and not isinstance(value, ScalarString) and "\n" not in value:
        try:
            same = yaml.safe_load(value) == value
        except yaml.YAMLError:
            same = False  # it is quoted anyway
        return value if same else DoubleQuotedScalarString(value)
    return value


def read_commented(text: str) -> Any:
    """The content of a YAML text; it keeps the comments."""
    return _round_trip().load(text)


def as_text(content: Any) -> str:
    """The YAML text of such a content, with its comments."""
    out = io.StringIO()
    _round_trip().dump(content, out)
    return out.getvalue()


def _round_trip() -> YAML:
    both_ways = YAML()
    both_ways.preserve_quotes = True
    both_ways.width = 4096
    representer = both_ways.representer
    representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null"))
    representer.add_representer(float, lambda dumper, value: dumper.represent_scalar(_FLOAT, _shown(value)))
    return both_ways


def _shown(value: float) -> str:
    """A number with a point, without which YAML 1.1 takes an exponent for a text."""
    return yaml.safe_dump(value).partition("\n")[0]
