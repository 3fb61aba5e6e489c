"""Public names of a package that are imported when they are first used.

The ``__init__`` of a room names what its users and the configs may import from it. If all of this were imported at
once, code that needs only numpy would import torch and MONAI too, and a packed bundle would need scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attribute_finder(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """The function that a package defines as its ``__getattr__`` (PEP 562).

    Args:
        package: its ``__name__``.
        modules: for each public name, the module of the package that defines it.
    """

    def find(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return find
