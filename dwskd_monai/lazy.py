"""Public names of a package that are imported when they are first used.

A room's ``__init__`` names what its users, and the configs, may ask it for. Imported at once, that would bring torch
and MONAI to whoever needs numpy alone, and scikit-learn to a packed bundle that has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attribute_finder(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """What a package calls its ``__getattr__`` (PEP 562).

    Args:
        package: its ``__name__``.
        modules: for each public name the module of the package that defines it.
    """

    def find(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return find
