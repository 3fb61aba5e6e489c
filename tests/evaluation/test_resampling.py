"""The bootstrap of patients: as if their studies were drawn one resample after the other."""

from __future__ import annotations

import numpy as np
import pytest

from dwskd_monai.evaluation.resampling import Resamples, band, lacking, record


def test_a_resample_has_each_study_as_often_as_its_patient_was_drawn():
    random = np.random.default_rng(0)
    groups = random.integers(0, 7, 30)
    values = random.normal(size=(30, 2))
    drawn = np.random.default_rng(3).multinomial(7, np.full(7, 1 / 7), 5)
    expected = [values.sum(0), *(values.repeat(times[groups], axis=0).sum(0) for times in drawn)]
    got = Resamples(groups.tolist(), count=5, seed=3).totals(values)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_histograms_are_totals_of_bins():
    random = np.random.default_rng(1)
    bins, chosen = random.integers(0, 4, 50), random.random(50) < 0.4
    resamples = Resamples((np.arange(50) // 3).tolist(), count=6)
    one_hot = (bins[:, None] == np.arange(4)) & chosen[:, None]
    np.testing.assert_array_equal(resamples.histograms(bins, 4, chosen), resamples.totals(one_hot))


def test_a_number_has_the_percentiles_of_its_resamples():
    rows = np.concatenate([[0.5], np.arange(1, 2001) / 2000])
    assert record(rows, 12) == pytest.approx({"value": 0.5, "low": 0.025, "high": 0.975, "n": 12}, abs=1e-3)


def test_a_number_says_why_it_has_no_interval():
    assert record(np.ones(2001), 12) == {
        "value": 1.0, "low": None, "high": None, "n": 12, "reason": "no interval: all resamples agree",
    }  # fmt: skip
    ratios = np.concatenate([[3.0, 1.0], np.full(30, 2.0), np.full(20, np.inf)])
    assert record(ratios, 12) == {"value": 3.0, "low": 2.0, "high": None, "n": 12, "reason": "no upper limit"}
    assert record(np.array([np.nan, 1.0, 2.0]), 12) == "undefined (division by 0)"
    assert record(np.array([np.inf, 1.0, 2.0]), 12) == "undefined (division by 0)"


def test_a_band_ends_where_most_resamples_are_undefined():
    rows = np.array([[1.0, 1.0]] + [[1.0, np.nan]] * 3 + [[2.0, 1.0]])
    low, high = band(rows)
    assert (low[0], high[0]) == pytest.approx((1.0, 1.925))
    assert np.isnan(low[1])
    assert np.isnan(high[1])


def test_fewer_than_ten_patients_on_either_side_make_no_number():
    positive = np.arange(30) < 15
    assert lacking(positive, range(30)) is None
    assert lacking(positive, [number // 2 for number in range(30)]) == "too few (n = 15, of 8 patients)"
    assert lacking(np.arange(30) < 9, range(30)) == "too few (n = 9)"
    assert lacking(np.arange(30) < 22, range(30)) == "too few (n = 8) of other classes"
