"""The grids of ``benchmarks/`` name bundles, methods and keys that there are."""

from __future__ import annotations

import pytest

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.overrides import knows
from dwskd_monai.commands.compare.grid_file import make_grid, read_grid
from dwskd_monai.commands.compare.methods import chosen_methods, read_methods
from tests.conftest import BUNDLES, REPOSITORY

BENCHMARKS = sorted(path for path in (REPOSITORY / "benchmarks" / "grids").glob("*/*.yaml") if path.stem != "common")


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_grids_of_the_benchmarks_name_what_there_is(path):
    grid = make_grid(read_grid(path))
    assert grid.bundle in BUNDLES
    assert grid.bundle.name.startswith(path.stem)
    assert grid.baseline in [method.name for method in chosen_methods(grid.methods, read_methods(grid.methods_file))]
    config = Bundle(grid.bundle).config("train")
    ids = {key.partition("@")[0] for key in grid.overrides}
    assert {key for key in ids if not knows(config, key)} == set()
    shares = {float(key.partition("@")[2]) for key in grid.overrides if "@" in key}
    assert shares <= set(grid.fractions)
