from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def _untouched_interpreter(monkeypatch) -> None:
    """A workflow leaves its folder on the path, and a hook that explains errors."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
