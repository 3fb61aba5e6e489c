"""What a method is: a declaration in ``methods.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

DECLARED = Path(__file__).with_name("methods.yaml")


@dataclass(frozen=True)
class Method:
    """One way to get a classifier, as small changes of a bundle's ``train.yaml``.

    Args:
        name: the name of the declaration.
        description: one line.
        overrides: ids of the config and their values.
        configs: files of the bundle's configs that are run, in this order.
        needs: another method, whose best network is available as ``@needed_weights``.
        trains: False: the network is evaluated without training.
        unlabeled: True: it learns from the images of ``unlabeled_dir``, if the grid has any; others are not given them.
    """

    name: str
    description: str
    overrides: Mapping[str, Any] = field(default_factory=dict, hash=False)
    configs: Sequence[str] = field(default=("train.yaml",), hash=False)
    needs: str | None = None
    trains: bool = True
    unlabeled: bool = False


def read_methods(file: str | Path | None = None) -> dict[str, Method]:
    """The methods of the package and those of the user's file, by name.

    Args:
        file: YAML with declarations as in ``methods.yaml``; one with the same name replaces that of the package.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: for a declaration with an unknown or missing key; the message names file, method and key.
    """
    methods: dict[str, Method] = {}
    for path in [DECLARED] if file is None else [DECLARED, Path(file)]:
        if not path.is_file():
            raise FileNotFoundError(f"methods_file: there is no file {path}")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"{path}: expected a map of methods, as in {DECLARED}")
        for name, declaration in content.items():
            methods[name] = _method(str(name), declaration, path)
    for method in methods.values():
        if method.needs is not None and method.needs not in methods:
            raise ValueError(f"{file}: {method.name} needs {method.needs!r}, which is not a method")
    return methods


def _method(name: str, declaration: Any, path: Path) -> Method:
    known = set(Method.__dataclass_fields__) - {"name"}
    if not isinstance(declaration, dict) or "description" not in declaration:
        raise ValueError(f"{path}: {name} must be a map with a description, and any of {', '.join(sorted(known))}")
    unknown = sorted(set(declaration) - known)
    if unknown:
        raise ValueError(f"{path}: {name} has unknown keys {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return Method(name, **declaration)


def chosen_methods(names: Sequence[str], methods: Mapping[str, Method]) -> list[Method]:
    """The methods with these names, each after the method that it needs.

    Raises:
        ValueError: for an unknown name, or if methods need each other in a circle.
    """
    unknown = [name for name in names if name not in methods]
    if unknown:
        raise ValueError(f"methods must be among {', '.join(methods)}; got {', '.join(map(str, unknown))}")
    order: dict[str, Method] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"methods need each other in a circle: {', '.join((*above, name))}")
        needs = methods[name].needs
        if needs is not None:
            add(needs, (*above, name))
        order.setdefault(name, methods[name])

    for name in names:
        add(name, ())
    return list(order.values())
