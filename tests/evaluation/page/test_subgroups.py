"""Subgroups: accuracy and differences by hand, Holm's correction, and the columns that make groups."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import norm

from dwskd_monai.evaluation.page.subgroups import age_group, holm, subgroups
from dwskd_monai.evaluation.resampling import Resamples
from tests.evaluation.page.made import evaluated
from tests.evaluation.page.test_page import content_of, written


def test_a_group_is_compared_with_all_other_studies():
    sex = ["F"] * 100 + ["M"] * 60
    right = np.repeat([True, False, True, False], [60, 40, 54, 6])
    resamples = Resamples(range(160))
    groups = subgroups({"sex": sex}, right, range(160), resamples)["columns"]["sex"]
    assert groups["F"]["accuracy"]["value"] == 0.6
    assert (groups["F"]["studies"], groups["M"]["patients"]) == (100, 60)
    assert groups["F"]["difference"]["value"] == pytest.approx(0.6 - 0.9)
    error = np.sqrt(0.6 * 0.4 / 100 + 0.9 * 0.1 / 60)
    expected = -0.3 + np.array([-1, 1]) * norm.ppf(0.975) * error
    assert (groups["F"]["difference"]["low"], groups["F"]["difference"]["high"]) == pytest.approx(expected, abs=0.02)
    # one comparison, so nothing is corrected
    assert groups["F"]["p"] == groups["M"]["p"] == pytest.approx(2 * norm.sf(0.3 / error), rel=0.6)


def test_three_groups_are_three_comparisons():
    random = np.random.default_rng(0)
    right = random.random(300) < 0.7
    site = [("A", "B", "C")[number % 3] for number in range(300)]
    resamples = Resamples(range(300))
    alone = [
        subgroups({"site": [name if name == one else "x" for name in site]}, right, range(300), resamples)
        for one in "ABC"
    ]
    raw = [found["columns"]["site"][one]["p"] for found, one in zip(alone, "ABC", strict=True)]
    together = subgroups({"site": site}, right, range(300), resamples)["columns"]["site"]
    assert [together[one]["p"] for one in "ABC"] == pytest.approx(holm(raw), abs=1e-5)


def test_holms_correction_by_hand():
    assert holm([0.02, 0.01, 0.5, 0.04]) == pytest.approx([0.06, 0.04, 0.5, 0.08])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.slow
def test_by_chance_alone_few_reports_name_a_difference():
    random = np.random.default_rng(1)
    named = 0
    for seed in range(200):
        columns = {"sex": random.choice(["F", "M"], 200).tolist(), "site": random.choice(["A", "B", "C"], 200).tolist()}
        found = subgroups(columns, random.random(200) < 0.8, range(200), Resamples(range(200), 300, seed))
        named += any(one["p"] < 0.05 for groups in found["columns"].values() for one in groups.values())
    assert named <= 20


def test_ages_make_groups_that_were_chosen_before():
    assert [age_group(text) for text in ("0", "17", "18Y", "39.5", "079Y", "80", "101 years")] == [
        "0–17", "0–17", "18–39", "18–39", "60–79", "80 and older", "80 and older",
    ]  # fmt: skip
    ages = [str(20 + number % 50) for number in range(100)]
    ages[:10] = [None] * 10
    found = subgroups({"age": ages}, np.arange(100) % 4 > 0, range(100), Resamples(range(100)))["columns"]["age"]
    assert list(found) == ["18–39", "40–59", "60–79", "unknown"]


def test_columns_with_one_or_many_values_are_left_out_and_named():
    columns = {"site": [str(number) for number in range(40)], "view": ["PA"] * 40}
    found = subgroups(columns, np.arange(40) > 5, range(40), Resamples(range(40)))
    assert found["columns"] == {}
    assert found["left_out"] == {
        "site": "40 values; at most 12 make groups",
        "view": "each study has the value PA",
    }


def test_small_groups_are_named_without_a_number():
    sex = ["F"] * 7 + ["M"] * 53
    groups = subgroups({"sex": sex}, np.arange(60) > 5, range(60), Resamples(range(60)))["columns"]["sex"]
    assert groups["F"] == {
        "studies": 7, "patients": 7, "accuracy": "too few (n = 7)", "difference": "too few (n = 7)",
    }  # fmt: skip
    assert groups["M"]["difference"] == "too few (n = 7) of other studies"


@pytest.mark.slow
def test_the_page_shows_groups_and_the_limits_name_the_smallest(tmp_path):
    sex = ["F" if number % 3 else "M" for number in range(90)]
    one = dataclasses.replace(evaluated(90, 2, per_patient=1), columns={"sex": sex})
    page, content, _ = written(tmp_path, one)
    assert "sex: F 60 60" in page.text
    assert "The smallest group of sex is M, with 30 studies." in content["limits"]


@pytest.mark.parametrize("signal", [2, 100])
def test_a_group_that_is_worse_is_among_the_limits_also_if_each_of_its_studies_is_wrong(signal):
    one = evaluated(200, 2, per_patient=1, signal=signal)
    probabilities = one.probabilities.copy()
    probabilities[:50] = probabilities[:50, ::-1]
    site = ["B"] * 50 + ["A"] * 150
    one = dataclasses.replace(one, probabilities=probabilities, columns={"site": site})
    assert any("right less often for site B: by −" in sentence for sentence in content_of(one)["limits"])
