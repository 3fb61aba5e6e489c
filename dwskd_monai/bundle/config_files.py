"""Configs as they are in their files. A command asks for the same files several times; YAML takes long to read."""

from __future__ import annotations

import copy
import functools
import os
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser
from monai.utils.misc import CheckKeyDuplicatesYamlLoader

_LIBYAML = (yaml.CSafeLoader,) if yaml.__with_libyaml__ else ()


class _Loader(*_LIBYAML, CheckKeyDuplicatesYamlLoader):  # type: ignore[misc]
    """MONAI's loader with the parser of libyaml, which takes a tenth of the time."""


class ConfigFiles(ConfigParser):
    """A parser that reads a file again only if it has changed."""

    @classmethod
    def load_config_file(cls, filepath: str | os.PathLike[str], **kwargs: Any) -> dict[str, Any]:
        """The content of a file, as MONAI loads it; the caller may change it."""
        if not filepath or kwargs:  # as MONAI takes them
            return super().load_config_file(filepath, **kwargs)
        status = Path(filepath).stat()
        return copy.deepcopy(_content(str(filepath), status.st_mtime_ns, status.st_size))


@functools.lru_cache(maxsize=32)
def _content(path: str, modified: int, size: int) -> dict[str, Any]:
    if not path.lower().endswith(ConfigParser.suffixes[1:]):
        content: dict[str, Any] = ConfigParser.load_config_file(path)
        return content
    with open(path, encoding="utf-8") as file:
        content = yaml.load(file, _Loader)
    return content
