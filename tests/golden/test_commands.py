"""Frozen: the commands of ``python -m dwskd_monai``, and the options of each with their defaults.

Where a command or an option is meant to change: ``pytest tests/golden/test_commands.py --update-golden``, and read the
difference of ``expected/commands.json``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import fire

from dwskd_monai.cli import main
from tests.golden.golden import Golden


def commands(monkeypatch) -> Mapping[str, Callable]:
    """What the command line offers: what it hands to fire."""
    given: list[Mapping[str, Callable]] = []
    monkeypatch.setattr(fire, "Fire", lambda component, **_: given.append(component))
    main([])
    return given[0]


def options(command: Callable) -> dict[str, Any]:
    """Names and defaults in their order, since some are given by position."""
    result: dict[str, Any] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            result[f"**{name}"] = "any other option"
        elif parameter.default is inspect.Parameter.empty:
            result[name] = "required"
        else:
            result[name] = parameter.default
    return {"order": " ".join(result), "defaults": result}


def test_commands_and_their_options_are_as_they_were(golden: Golden, monkeypatch):
    golden.check("commands", "commands", {name: options(command) for name, command in commands(monkeypatch).items()})
