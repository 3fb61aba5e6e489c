"""The analysis of coupling stands behind a wall: it needs nothing of the project, and gives three names to it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from dwskd_monai.weight_selection import coupling

INSIDE = Path(coupling.__file__).parent
OUTSIDE = INSIDE.parent.parent


def imported(path: Path) -> set[tuple[str, str]]:
    """Modules that a file imports, each with the names from it (or with none)."""
    imports = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            imports |= {(node.module or "", alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            imports |= {(alias.name, "") for alias in node.names}
    return imports


@pytest.mark.parametrize("path", sorted(INSIDE.glob("*.py")), ids=lambda path: path.name)
def test_coupling_imports_only_itself_torch_numpy_and_scipy(path):
    for module, _ in imported(path):
        library = module.split(".")[0]
        inside = module.startswith(coupling.__name__)
        assert inside or library in {"torch", "numpy", "scipy"} or library in sys.stdlib_module_names, module


def test_the_rest_of_the_package_sees_only_the_public_names():
    for path in OUTSIDE.rglob("*.py"):
        if INSIDE in path.parents:
            continue
        for module, name in imported(path):
            if f"{module}.{name}".startswith(f"{coupling.__name__}."):
                assert module == coupling.__name__, f"{path}: {module}"
                assert name in coupling.__all__, f"{path}: {name}"
