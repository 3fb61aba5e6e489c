"""Which ids of a config a command may override; others are refused."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ReferenceResolver

from dwskd_monai.bundle.config_files import ConfigFiles
from dwskd_monai.bundle.words import checked_type

_SEPARATOR = "#"
_TRAINS = "train"  # name of the config whose settings are those of the next training
_SWITCHES = ("_disabled_", "_requires_", "_mode_", "_desc_")  # that any component of MONAI's configs can have


def as_id(key: str) -> str:
    """An id in the form ``train#dataset``; MONAI also has ``train::dataset``."""
    return key.replace(ReferenceResolver.sep, _SEPARATOR)


def parts_of(key: str) -> list[str]:
    """The names in an id, from the outside in."""
    return as_id(key).split(_SEPARATOR)


def knows(parser: ConfigParser, key: str) -> bool:
    """Whether a config has an id, or a component that takes it as an additional argument."""
    if key in parser:
        return True
    parent, _, name = key.rpartition(_SEPARATOR)
    if not parent or parent not in parser:
        return False
    return isinstance(parser[parent], dict) and ("_target_" in parser[parent] or name in _SWITCHES)


def refuse_unknown(keys: Iterable[str], parsers: Sequence[ConfigParser], where: str) -> None:
    """Raise for an override that no config has; MONAI would ignore it.

    Args:
        keys: the overridden ids.
        parsers: configs, one of which must know each id.
        where: what an id should be, for the message, such as "a setting of train.yaml".

    Raises:
        ValueError: the message names the first unknown id and the nearest known one.
    """
    for key in keys:
        if not any(knows(parser, key) for parser in parsers):
            nearest = nearest_known(key, parsers)
            hint = f"; did you mean {nearest}?" if nearest else ""
            raise ValueError(f"{key} is not {where}{hint}")


def nearest_known(key: str, parsers: Sequence[ConfigParser]) -> str | None:
    """The id that a mistyped one probably stands for; None if no id of the configs is similar."""
    return next(iter(difflib.get_close_matches(key, _names_beside(key, parsers), n=1)), None)


def settings_of_files(paths: Iterable[str]) -> dict[str, Any]:
    """The values in configs other than the one that trains; values that refer to something else are left out.

    Args:
        paths: of the files; each is laid over the one before.
    """
    settings: dict[str, Any] = {}
    for path in paths:
        if Path(path).stem != _TRAINS:
            content = ConfigFiles.load_config_file(path)
            settings |= {key: value for key, value in content.items() if not _refers(value)}
    return settings


def settings_of_workflow(parser: ConfigParser, trains: ConfigParser) -> dict[str, Any]:
    """The values that were given to a workflow that Python code made.

    What it was given stands in its config, beside what its files say. Of the config that trains, the values are those
    of the next training, so only others were given.

    Args:
        parser: of the workflow.
        trains: the bundle's config that trains.
    """
    values = {key: value for key, value in parser.get().items() if not key.startswith("_") and not _refers(value)}
    if _TRAINS not in parser:
        return values
    return {key: value for key, value in values.items() if key not in trains or trains[key] != value}


def _refers(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_refers, value.values()))
    if isinstance(value, list):
        return any(map(_refers, value))
    return isinstance(value, str) and value.startswith(("$", "@", "%"))


def check_types(overrides: Mapping[str, Any], files: Sequence[ConfigParser]) -> None:
    """Raise ValueError for a value that cannot be meant, judged by the values in the files of the configs.

    Args:
        overrides: ids and values.
        files: configs without overrides; a value is compared with that of each file that has the id.
    """
    for key, value in overrides.items():
        for parser in files:
            if key in parser:
                checked_type(key, value, parser[key])


def _names_beside(key: str, parsers: Sequence[ConfigParser]) -> list[str]:
    """Ids with the same parent as ``key``, which a mistyped key may stand for."""
    parent = key.rpartition(_SEPARATOR)[0]
    names: list[str] = []
    for parser in parsers:
        content = parser[parent] if parent and parent in parser else parser.get()
        if isinstance(content, dict):
            names += [f"{parent}{_SEPARATOR}{name}" if parent and parent in parser else str(name) for name in content]
    return [name for name in names if not name.rpartition(_SEPARATOR)[2].startswith("_")]
