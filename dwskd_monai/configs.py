"""Reading a bundle's configs with what a command overrides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser


def read_config(bundle: Path, names: str | Sequence[str], overrides: Mapping[str, Any]) -> ConfigParser:
    """Configs of a bundle, one laid over the other, with those of the overrides that they have ids for.

    Args:
        bundle: its folder.
        names: files of its ``configs``, without ``.yaml``.
        overrides: ids and values.

    Raises:
        FileNotFoundError: if the folder is no bundle.
    """
    names = [names] if isinstance(names, str) else list(names)
    for file in (*(f"{name}.yaml" for name in names), "metadata.json"):
        if not (bundle / "configs" / file).is_file():
            raise FileNotFoundError(f"bundle: {bundle} has no configs/{file}; give the folder of a bundle")
    parser = ConfigParser()
    parser.read_config([bundle / "configs" / f"{name}.yaml" for name in names])
    parser.read_meta(bundle / "configs" / "metadata.json")
    parser.update(pairs={key: value for key, value in overrides.items() if has(parser, key)})
    return parser


def has(parser: ConfigParser, key: str) -> bool:
    """Whether a config has an id, or a part to which it can be added."""
    parent = key.rpartition("#")[0]
    return key in parser or bool(parent and parent in parser and isinstance(parser[parent], dict))


def refuse_unknown(overrides: Iterable[str], command: str, *parsers: ConfigParser) -> None:
    """Raise ValueError for an override that no config has; MONAI would ignore it."""
    for key in overrides:
        if not any(has(parser, key) for parser in parsers):
            raise ValueError(
                f"{key} is neither an option of {command} nor an id of the bundle's train.yaml or inference.yaml"
            )
