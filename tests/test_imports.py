"""Imports inside the package point one way (see the table), so that each part can be read on its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import dwskd_monai

PACKAGE = Path(dwskd_monai.__file__).parent
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "arguments": set(),
    "bundle": set(),
    "compare": {"bundle", "configs", "data", "evaluation", "files"},
    "data": {"arguments", "files", "reading"},
    "distributed": set(),
    "files": set(),
    "losses": set(),
    "reading": set(),
    "lazy": set(),
    "preprocessing": {"arguments", "lazy", "reading"},
    "views": set(),
    "weight_selection": set(),
    "evaluation.__init__": set(),
    "evaluation.aggregation": set(),
    "evaluation.combinations": set(),
    "evaluation.metrics": set(),
    "evaluation.study_metric": {"evaluation.aggregation", "evaluation.metrics"},
    "evaluation.predictions": {"evaluation.aggregation", "files"},
    "evaluation.report": {"evaluation.metrics", "evaluation.predictions", "files"},
    "networks": {"arguments", "weight_selection"},
    "select": {"files", "networks", "preprocessing", "reading", "weight_selection"},
    "engines": {"arguments", "losses"},
    "handlers": {"arguments", "engines", "files"},
    "inferers": {"evaluation"},
    "configs": set(),
    "deployed": {"configs", "data"},
    "exporting": {"bundle", "configs", "deployed", "evaluation", "files"},
    "packing": {"configs", "deployed", "files"},
}


def siblings(path: Path) -> set[str]:
    """Modules of the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [node.module or ""]
            if node.module == "dwskd_monai":
                names = [f"dwskd_monai.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.removeprefix("dwskd_monai.") for name in names if name.startswith("dwskd_monai")}
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    if name == "__main__":
        return
    allowed = next(ALLOWED[key] for key in (name, name.split(".")[0]) if key in ALLOWED)
    home = name.split(".")[0]
    outside = {module for module in siblings(path) if module.split(".")[0] != home or home == "evaluation"}
    if home == "evaluation":
        assert outside <= allowed
    else:
        assert {module.split(".")[0] for module in outside} <= allowed
