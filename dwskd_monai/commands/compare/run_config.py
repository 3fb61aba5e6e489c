"""What a run changes, as an additional config file that comes after those of the bundle."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from dwskd_monai.bundle.overrides import parts_of
from dwskd_monai.commands.compare.yaml_text import yaml_text
from dwskd_monai.files import replacing

_HEADER = "# What this run changes in the configs of the bundle. log.txt has the command.\n"
_MACRO = "%"
_ADD = "+"
_SEPARATOR = "#"


def run_config(
    configs: Sequence[Path],
    overrides: Mapping[str, Any],
    method: Mapping[str, Any],
    added: Mapping[str, Sequence[Any]],
) -> dict[str, Any]:
    """Ids and values of a run.

    MONAI copies what a macro names (``auxiliary_def: "%network_def"``) once all files are merged. The overrides of the
    grid apply to such copies too; the overrides of a method change only the id that they name. So macros that an
    override of a method would change, as a whole or in a part, are written out first:

        network_def#dims: [8, 16]         # the grid's
        auxiliary_def: {…, dims: [8, 16]} # what MONAI copies
        auxiliary_def#dims: [32, 64]      # the method's

    Args:
        configs: the files that come before that of the run.
        overrides: those of the grid and of the run.
        method: those of the method.
        added: ids of lists, and items that are appended to these.
    """
    parser = ConfigParser()
    parser.read_config([str(path) for path in configs])
    parser.update(pairs=copy.deepcopy(dict(overrides)))
    changed = {_root(key) for key in method}
    copied = [key for key, source in _macros(parser.config) if _root(key) in changed or _root(source) in changed]
    parser.resolve_macro_and_relative_ids()
    kept = {key: value for key, value in overrides.items() if key not in method}
    copies = {key: parser[key] for key in copied}
    return kept | copies | dict(method) | {f"{_ADD}{key}": items for key, items in added.items()}


def write_run_config(path: Path, content: Mapping[str, Any]) -> Path:
    """Write ids and values as a config file that MONAI reads; returns its path."""
    with replacing(path) as temporary:
        temporary.write_text(yaml_text(_HEADER, content), encoding="utf-8")
    return path


def _macros(config: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each id whose value is a macro, and the id that the macro names."""
    if isinstance(config, str) and config.startswith(_MACRO):
        yield key, config.removeprefix(_MACRO)
    items = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    for name, value in items:
        yield from _macros(value, f"{key}{_SEPARATOR}{name}" if key else str(name))


def _root(key: str) -> str:
    return parts_of(key)[0]
