"""Operating points: the best of all thresholds, with the rates of patients that did not choose them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_curve

from dwskd_monai.evaluation.operating_points import (
    Rule,
    UnreachableError,
    choose_threshold,
    cross_fitted,
    fit_operating_point,
)

YOUDEN = Rule.of("youden")


def scored(count: int, seed: int = 0, distance: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    positive = np.arange(count) % 3 == 0
    return 1 / (1 + np.exp(-random.normal(positive * distance, 1.0))), positive


def rates(scores: np.ndarray, positive: np.ndarray, threshold: float) -> tuple[float, float]:
    return (scores[positive] >= threshold).mean(), (scores[~positive] < threshold).mean()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("youden", Rule("youden")),
        (" Youden ", Rule("youden")),
        ("sensitivity>=0.95", Rule("sensitivity", 0.95)),
        ("specificity >= .9", Rule("specificity", 0.9)),
        ("sensitivity>=1", Rule("sensitivity", 1.0)),
    ],
)
def test_a_rule_is_read_from_its_text(text, rule):
    assert Rule.of(text) == rule
    assert Rule.of(str(rule)) == rule


@pytest.mark.parametrize(
    "text",
    ["", "balanced", "sensitivity>0.9", "sensitivity=0.9", "recall>=0.9", "sensitivity>=95", "specificity>=0",
     "sensitivity>=0.9.5", "sensitivity>=.", "sensitivity>=nan", "specificity>=-1"],
)  # fmt: skip
def test_another_text_is_refused_with_what_is_expected(text):
    with pytest.raises(ValueError, match="operating_point: expected youden, sensitivity>=TARGET or specificity>="):
        Rule.of(text)


def test_youden_is_the_largest_sum_of_both_rates_that_normal_kernels_give():
    scores, positive = scored(90)
    odds = np.log(scores / (1 - scores))
    ordered = np.sort(scores)
    between = (ordered[1:] + ordered[:-1]) / 2

    def below(threshold: float, kind: np.ndarray) -> float:
        values = odds[kind]
        spread = min(values.std(ddof=1), np.subtract(*np.quantile(values, [0.75, 0.25])) / 1.34)
        width = 0.9 * spread * len(values) ** -0.2
        return norm.cdf(np.log(threshold / (1 - threshold)), values, width).mean()

    best = max(between, key=lambda threshold: below(threshold, ~positive) - below(threshold, positive))
    assert choose_threshold(scores, positive, YOUDEN) == best


def test_youden_comes_near_to_the_best_sum_of_counted_rates_by_scikit_learn():
    scores, positive = scored(600)
    false_positives, sensitivity, _ = roc_curve(positive, scores)
    best = (sensitivity - false_positives).max()
    threshold = choose_threshold(scores, positive, YOUDEN)
    assert best - 0.05 < sum(rates(scores, positive, threshold)) - 1 <= best + 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "count"), [("youden", 60), ("youden", 300), ("sensitivity>=0.9", 60), ("specificity>=0.9", 60)]
)
def test_intervals_hold_the_rates_that_the_threshold_has_for_new_patients(rule, count):
    held = []
    for seed in range(100):
        scores, positive = scored(count, seed, distance=1.5)
        point = fit_operating_point(scores, positive, range(count), Rule.of(rule))
        if point.threshold is None:  # the target is not reached without some of the patients
            continue
        odds = np.log(point.threshold / (1 - point.threshold))
        sensitivity, specificity = 1 - norm.cdf(odds - 1.5), norm.cdf(odds)
        held.append(point.sensitivity.low <= sensitivity <= point.sensitivity.high)
        held.append(point.specificity.low <= specificity <= point.specificity.high)
    assert len(held) > 150
    assert np.mean(held) >= 0.91


@pytest.mark.parametrize("target", [0.5, 0.9, 0.95, 1.0])
def test_a_target_is_reached_and_the_other_rate_is_the_best_there_is(target):
    scores, positive = scored(300)
    all_rates = [rates(scores, positive, score) for score in scores]
    threshold = choose_threshold(scores, positive, Rule("sensitivity", target))
    best = max(specificity for sensitivity, specificity in all_rates if sensitivity >= target)
    assert rates(scores, positive, threshold)[0] >= target
    assert rates(scores, positive, threshold)[1] == pytest.approx(best)
    threshold = choose_threshold(scores, positive, Rule("specificity", target))
    best = max(sensitivity for sensitivity, specificity in all_rates if specificity >= target)
    assert rates(scores, positive, threshold)[1] >= target
    assert rates(scores, positive, threshold)[0] == pytest.approx(best)


def test_19_of_20_are_a_sensitivity_of_95_percent():
    scores = np.r_[np.linspace(0.5, 0.9, 20), np.linspace(0.1, 0.4, 20), 0.505]
    positive = np.arange(41) < 20
    threshold = choose_threshold(scores, positive, Rule("sensitivity", 0.95))
    assert rates(scores, positive, threshold) == (0.95, 1.0)


def test_a_threshold_lies_midway_between_two_scores():
    assert choose_threshold(np.array([0.2, 0.2, 0.6, 0.6]), np.array([False, False, True, True]), YOUDEN) == 0.4


@pytest.mark.parametrize("count", [40, 700])
@pytest.mark.parametrize("seed", range(20))
def test_the_thresholds_of_two_classes_divide_the_studies_in_the_same_way(seed, count):
    scores, positive = scored(count, seed)
    if count == 40:
        scores = np.round(scores, 2)  # with ties
    first = choose_threshold(scores, positive, YOUDEN)
    second = choose_threshold(1 - scores, ~positive, YOUDEN)
    assert ((scores >= first) == (1 - scores < second)).all()


def test_what_only_all_or_no_studies_reach_is_unreachable():
    same = np.full(20, 0.5)
    positive = np.arange(20) < 10
    with pytest.raises(UnreachableError, match="no threshold is better than chance"):
        choose_threshold(same, positive, YOUDEN)
    with pytest.raises(UnreachableError, match="no threshold is better than chance"):
        choose_threshold(np.where(positive, 0.1, 0.9), positive, YOUDEN)
    lowest_is_positive = np.r_[0.1, np.linspace(0.5, 0.9, 19)]
    with pytest.raises(UnreachableError, match="sensitivity>=1 is reached only if each study is said to be"):
        choose_threshold(lowest_is_positive, positive, Rule("sensitivity", 1.0))
    with pytest.raises(UnreachableError, match=r"specificity>=0.9 is reached only if no study is said to be"):
        choose_threshold(np.where(positive, 0.1, 0.9), positive, Rule("specificity", 0.9))


def test_an_unreachable_target_is_the_reason_in_place_of_a_threshold():
    positive = np.arange(40) < 20
    point = fit_operating_point(np.where(positive, 0.1, 0.9), positive, range(40), YOUDEN)
    assert point.threshold is None
    assert point.reason == "no threshold is better than chance"
    assert (point.n, point.n_others) == (20, 20)


def test_few_patients_of_one_kind_give_no_threshold():
    scores, positive = scored(100)
    few = np.cumsum(positive) * positive  # 1, 2, … of the positive ones
    chosen = ~positive | (few <= 7)
    point = fit_operating_point(scores[chosen], positive[chosen], range(int(chosen.sum())), YOUDEN)
    assert (point.threshold, point.reason, point.n) == (None, "too few (n = 7)", 7)
    point = fit_operating_point(1 - scores[chosen], ~positive[chosen], range(int(chosen.sum())), YOUDEN)
    assert point.reason == "too few (n = 7) of other classes"
    patients = np.where(positive, few % 9, 100 + np.arange(100)).tolist()  # 34 studies of 9 patients
    assert fit_operating_point(scores, positive, patients, YOUDEN).reason == "too few (n = 34, of 9 patients)"


def test_the_threshold_of_a_patient_is_chosen_on_others():
    scores, positive = scored(60)
    members = np.arange(60) // 2
    flagged = cross_fitted(scores, positive, members, YOUDEN)
    changed = scores.copy()
    changed[2:4] = 0.999  # of patient 1
    again = cross_fitted(changed, positive, members, YOUDEN)
    assert again[2:4].all()
    assert (np.delete(again, [2, 3]) == np.delete(flagged, [2, 3])).mean() > 0.8


def test_the_rates_are_those_that_new_patients_have():
    """In the mean over trainings; the rates on the studies that chose the threshold would be too high."""
    fitted, apparent = [], []
    for seed in range(60):
        scores, positive = scored(45, seed)
        point = fit_operating_point(scores, positive, range(45), YOUDEN)
        new_scores, new_positive = scored(3000, 1000 + seed)
        new = sum(rates(new_scores, new_positive, point.threshold))
        fitted.append(point.sensitivity.value + point.specificity.value - new)
        apparent.append(sum(rates(scores, positive, point.threshold)) - new)
    assert np.mean(fitted) == pytest.approx(0, abs=0.03)
    assert np.mean(apparent) > 0.04
