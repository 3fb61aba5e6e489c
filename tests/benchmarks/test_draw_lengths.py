import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from draw_lengths import CURVES, Curve, markdown, points, read_runs


def runs(rows: list[tuple[str, int, int, float]]) -> pd.DataFrame:
    """Of one set and fold: method, steps, seed, and accuracy."""
    return pd.DataFrame(
        [
            {
                "method": method,
                "steps": steps,
                "set": "brain_mri",
                "fold": 0,
                "seed": seed,
                "test_balanced_accuracy": value,
            }
            for method, steps, seed, value in rows
        ]
    )


def test_a_point_has_the_steps_of_one_network_and_each_pair_once():
    table = runs(
        [("both", 240, 0, 0.5), ("both", 240, 1, 0.7), ("both_longer", 3000, 0, 0.8), ("both_longer", 3000, 0, 0.6)]
    )
    found = points(table, Curve("two students", ("both", "both_longer"), 2))
    assert list(found.index) == [("brain_mri", 120), ("brain_mri", 1500)]
    short, long = found.loc[("brain_mri", 120)], found.loc[("brain_mri", 1500)]
    assert (short["mean"], short["pairs"], short["deviation"]) == pytest.approx((0.6, 2, 0.02**0.5))
    assert short["error"] == pytest.approx(0.02**0.5 / 2**0.5)
    assert (long["mean"], long["pairs"]) == pytest.approx((0.7, 1)), "two runs of one pair"


def test_the_docs_have_what_the_committed_runs_say():
    text = (Path(__file__).parents[2] / "benchmarks" / "RESULTS.md").read_text()
    for line in markdown({curve.title: points(read_runs(), curve) for curve in CURVES}).splitlines():
        assert line in text
