"""Frozen: the commands of ``python -m dwskd_monai``, and the options of each with their defaults.

Where a command or an option is meant to change: ``pytest tests/golden/test_commands.py --update-golden``, and read the
difference of ``expected/commands.json``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from dwskd_monai.cli import COMMANDS, command
from tests.golden.golden import Golden


def commands() -> Mapping[str, Callable]:
    """What the command line offers."""
    return {name: command(name) for name in COMMANDS}


def options(function: Callable) -> dict[str, Any]:
    """Names and defaults in their order, since some are given by position."""
    result: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            result[f"**{name}"] = "any other option"
        elif parameter.default is inspect.Parameter.empty:
            result[name] = "required"
        else:
            result[name] = parameter.default
    return {"order": " ".join(result), "defaults": result}


def test_commands_and_their_options_are_as_they_were(golden: Golden):
    golden.check("commands", "commands", {name: options(function) for name, function in commands().items()})
