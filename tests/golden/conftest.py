"""The fixture that compares with the files in ``expected/``."""

from __future__ import annotations

import pytest

from tests.golden.golden import Golden


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares, or with ``--update-golden`` writes."""
    update = request.config.getoption("--update-golden")
    if update and hasattr(request.config, "workerinput"):
        raise pytest.UsageError("--update-golden: several processes would overwrite each other's files; leave out -n")
    return Golden(update)
