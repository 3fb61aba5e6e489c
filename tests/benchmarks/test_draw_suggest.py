import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from draw_suggest import RUNS, differences, markdown


def runs() -> pd.DataFrame:
    """Suggested images are better by 0.1 times the round, in one of two runs by 0.02 more."""
    rows = []
    for name in ("brain_mri", "chest_xray", "lung_ct"):
        for fold in range(2):
            for number in range(3):
                for way, better in (("suggest", 0.1 * number + 0.02 * fold * (number > 0)), ("random", 0.0)):
                    key = {"set": name, "fold": fold, "seed": 0, "way": way, "round": number, "labels": 20 * number}
                    rows.append(key | {"test_balanced_accuracy": 0.5 + better})
    return pd.DataFrame(rows)


def test_differences_are_of_pairs_of_the_same_round():
    before, first, second = (differences(runs(), number) for number in range(3))
    assert before["difference"]["brain_mri"] == 0
    assert first["difference"]["lung_ct"] == pytest.approx(0.11)
    assert second["difference"]["all"] == pytest.approx(0.21)
    assert (second["pairs"]["all"], second["pairs"]["lung_ct"]) == (6, 2)
    fewer = runs().query("not (set == 'lung_ct' and fold == 1 and way == 'random')")
    assert differences(fewer, 1)["pairs"]["lung_ct"] == 1, "a run without the other way is no pair"


def test_the_docs_have_what_the_committed_runs_say():
    text = (Path(__file__).parents[2] / "benchmarks" / "RESULTS.md").read_text()
    for line in markdown(pd.read_csv(RUNS)).splitlines():
        assert line in text
