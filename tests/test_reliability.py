"""The page of faults names tests that there are."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conftest import REPOSITORY

ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| fault ")
]
NAMED = sorted({row[2] for row in ROWS if row[2]})


def test_each_row_has_a_fault_what_happens_and_a_test():
    assert len(ROWS) > 40
    assert all(len(row) == 3 and row[0] for row in ROWS)


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_is_named_exists(named):
    match = re.fullmatch(r"`(\S+\.py)::(test_\w+)`", named)
    assert match is not None, named
    tree = ast.parse((REPOSITORY / "tests" / match[1]).read_text(encoding="utf-8"))
    assert match[2] in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
