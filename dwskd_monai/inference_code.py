"""The modules of this package that inference needs, so that they can travel with a network or a classifier."""

from __future__ import annotations

import ast
import pydoc
import re
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dwskd_monai
from dwskd_monai.reading.formats import FORMATS

PACKAGE = "dwskd_monai"
SCRIPTS = "scripts"  # what the model zoo calls the code of a bundle; MONAI Label keeps that of each bundle apart
_IMPORTED = re.compile(rf"^(\s*(?:from|import) ){PACKAGE}\b", re.MULTILINE)


_READ = Path(dwskd_monai.__file__).parent / "reading" / "read.py"


def inference_code(targets: Iterable[str], package: str = SCRIPTS) -> dict[str, str]:
    """Source files, by their path, of the modules that define ``targets`` and of all that these import.

    Args:
        targets: names such as ``dwskd_monai.preprocessing.LoadSlicesd``.
        package: the name that this package gets there, and of the folder of the files.

    Raises:
        ValueError: for a target that no module of this package defines.
    """
    code: dict[str, str] = {}
    todo = [_module_of(_defined_as(target)) for target in targets]
    while todo:
        path = todo.pop()
        name = path.relative_to(_root()).as_posix()
        if name in code:
            continue
        source = path.read_text(encoding="utf-8")
        code[name] = source
        todo += _imported_modules(source)
        if path == _READ:  # it imports readers by their names in the table of formats
            todo += [_READ.with_name(f"{row.module}.py") for row in FORMATS]
        todo += [folder / "__init__.py" for folder in path.parents if _root() in (folder, *folder.parents)]
    code["__init__.py"] = f'"""What inference needs of {PACKAGE} {version(PACKAGE)}, copied from it; Apache-2.0."""\n'
    return {f"{package}/{name}": _IMPORTED.sub(rf"\1{package}", source) for name, source in sorted(code.items())}


def _root() -> Path:
    return Path(dwskd_monai.__file__).parent


def _defined_as(target: str) -> str:
    """The full name of a target, with its module: ``dwskd_monai.preprocessing.transforms.LoadSlicesd``."""
    found: Any = pydoc.locate(target)
    return target if found is None else f"{found.__module__}.{found.__qualname__}"


def _module_of(target: str) -> Path:
    """The file of the module that a dotted name begins with."""
    parts = target.split(".")[1:]
    for length in range(len(parts), 0, -1):
        for path in (
            _root().joinpath(*parts[:length]).with_suffix(".py"),
            _root().joinpath(*parts[:length], "__init__.py"),
        ):
            if path.is_file():
                return path
    raise ValueError(f"{target}: no module of {PACKAGE} defines it, so it cannot travel")


def _imported_modules(source: str) -> list[Path]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            found += [_module_of(f"{node.module}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [_module_of(alias.name) for alias in node.names if alias.name.split(".")[0] == PACKAGE]
    return found
