"""Two networks on the same studies: differences by hand, by DeLong's formula, and by the tests of scipy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from dwskd_monai.evaluation.page.against import against, mcnemar
from dwskd_monai.evaluation.page.content import measure
from dwskd_monai.evaluation.page.subsets import Predictions
from dwskd_monai.evaluation.resampling import Resamples
from tests.evaluation.page.made import NAMES, evaluated
from tests.evaluation.page.test_page import Page, numbers, origin_of, written

OTHER = {
    "network": {"bundle": "Another <bundle>, 1.0"},
    "weights_sha256": "1e",
    "trained_images": False,
    "fitted_images": 0,
}


def two(count=200, classes=3, per_patient=1, signals=(2.0, 1.0), seed=0):
    """Predictions of one network, and of one that knows the same studies less well."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    shared = random.normal(size=(count, classes))
    groups = [f"P{number // per_patient}" for number in range(count)]
    made = []
    for signal in signals:
        logits = shared + 0.7 * random.normal(size=(count, classes))
        logits[np.arange(count), labels] += signal
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        made.append(Predictions(probabilities, labels, groups, NAMES[:classes]))
    return made


def compared(this, other):
    return against(this, other, Resamples(this.groups))


def of_table(pairs):
    """Predictions of two classes from the numbers of studies: label, class of this network, class of the other."""
    rows = [row for row, count in pairs.items() for _ in range(count)]
    labels, this, other = (np.array(column) for column in zip(*rows, strict=True))
    one_hot = [np.eye(2)[column] * 0.8 + 0.1 for column in (this, other)]
    return [Predictions(each, labels, range(len(labels)), NAMES[:2]) for each in one_hot]


@pytest.mark.parametrize("classes", [2, 3])
def test_differences_are_those_of_scikit_learn(classes):
    this, other = two(classes=classes)
    found = compared(this, other)
    measures = {
        "accuracy": lambda one: (one.predicted == one.labels).mean(),
        "balanced_accuracy": lambda one: balanced_accuracy_score(one.labels, one.predicted),
        "auc": lambda one: np.mean(
            [roc_auc_score(one.labels == index, one.probabilities[:, index]) for index in range(classes)]
        ),
    }
    for name, measured in measures.items():
        row = found["metrics"][name]
        assert row["this"]["value"] == pytest.approx(measured(this), abs=1e-6)
        assert row["other"]["value"] == pytest.approx(measured(other), abs=1e-6)
        assert row["difference"]["value"] == pytest.approx(measured(this) - measured(other), abs=2e-6)
        assert row["difference"]["n"] == 200
    ill, flagged, other_flagged = this.labels == 1, this.predicted == 1, other.predicted == 1
    row = found["classes"]["ill"]
    difference = flagged[ill].mean() - other_flagged[ill].mean()
    assert row["sensitivity"]["difference"]["value"] == pytest.approx(difference, abs=1e-6)
    assert row["sensitivity"]["difference"]["n"] == ill.sum()
    difference = other_flagged[~ill].mean() - flagged[~ill].mean()
    assert row["specificity"]["difference"]["value"] == pytest.approx(difference, abs=1e-6)


def delong(positive, scores, other_scores):
    """The difference of two AUCs and its standard error, from the placements of each study (DeLong et al. 1988)."""
    placements = []
    for each in (scores, other_scores):
        above = (each[positive][:, None] > each[~positive]) + 0.5 * (each[positive][:, None] == each[~positive])
        placements.append((above.mean(1), above.mean(0)))
    of_positive, of_negative = (placements[0][side] - placements[1][side] for side in (0, 1))
    variance = of_positive.var(ddof=1) / len(of_positive) + of_negative.var(ddof=1) / len(of_negative)
    return of_positive.mean(), np.sqrt(variance)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_interval_of_a_difference_of_aucs_is_that_of_delong(classes):
    this, other = two(300, classes)
    found = compared(this, other)["classes"]
    for index, name in enumerate(this.class_names):
        scores = [one.probabilities[:, index] for one in (this, other)]
        difference, error = delong(this.labels == index, *scores)
        measured = found[name]["auc"]["difference"]
        assert measured["value"] == pytest.approx(difference, abs=1e-6)
        ends = difference + np.array([-1, 1]) * norm.ppf(0.975) * error
        assert (measured["low"], measured["high"]) == pytest.approx(ends, abs=0.006)


def test_the_interval_of_pairs_is_narrower_than_that_of_two_independent_networks():
    this, other = two(300, 2)
    row = compared(this, other)["metrics"]["accuracy"]
    right, other_right = this.predicted == this.labels, other.predicted == other.labels
    error = np.std(right.astype(float) - other_right) / np.sqrt(300)
    ends = (right.mean() - other_right.mean()) + np.array([-1, 1]) * norm.ppf(0.975) * error
    assert (row["difference"]["low"], row["difference"]["high"]) == pytest.approx(ends, abs=0.012)
    independent = np.sqrt(right.var() / 300 + other_right.var() / 300)
    assert row["difference"]["high"] - row["difference"]["low"] < 2 * norm.ppf(0.975) * independent


def test_studies_of_one_patient_do_not_make_an_interval_narrower():
    this, other = two(60, 2)
    once = compared(this, other)
    repeated = [
        Predictions(one.probabilities.repeat(5, 0), one.labels.repeat(5), np.repeat(one.groups, 5).tolist(), NAMES[:2])
        for one in (this, other)
    ]
    for name, row in compared(*repeated)["metrics"].items():
        for end in ("low", "high"):
            assert row["difference"][end] == pytest.approx(once["metrics"][name]["difference"][end], abs=2e-3)


def test_mcnemars_exact_test_by_hand():
    right = np.repeat([True, True, False, False], [30, 9, 3, 8])
    other_right = np.repeat([True, False, True, False], [30, 9, 3, 8])
    expected = 2 * binom.cdf(3, 12, 0.5)
    found = mcnemar(right, other_right, range(50))
    assert found == {
        "only_this": 9,
        "only_other": 3,
        "p": pytest.approx(expected, abs=1e-6),
        "test": "McNemar's exact test",
    }
    assert mcnemar(right, right, range(50))["p"] == 1.0
    assert mcnemar(right[:9], other_right[:9], range(9)) == {
        "only_this": 0,
        "only_other": 0,
        "reason": "too few (n = 9)",
    }


def test_for_several_studies_of_a_patient_the_sums_of_patients_are_tested():
    random = np.random.default_rng(1)
    patients = np.arange(120) // 3
    right, other_right = random.random(120) < 0.8, random.random(120) < 0.6
    sums = np.bincount(patients, weights=right.astype(float) - other_right)
    z = sums.sum() / np.sqrt((sums**2).sum() * 40 / 39)
    found = mcnemar(right, other_right, patients.tolist())
    assert found["p"] == pytest.approx(2 * norm.sf(abs(z)), abs=1e-6)
    assert found["test"].endswith("(Obuchowski)")
    same = mcnemar(right, np.where(patients < 5, ~right, right), patients.tolist())
    assert same["reason"] == "too few (n = 15, of 5 patients) that one network alone predicts correctly"


def test_equal_networks_differ_by_chance_in_one_of_twenty_comparisons():
    random = np.random.default_rng(3)
    named = 0
    for _ in range(200):
        patients = np.arange(90) // 3
        common = (random.random(30) < 0.4)[patients]  # studies of a patient are alike
        sides = [np.where(common, (random.random(30) < 0.5)[patients], random.random(90) < 0.7) for _ in range(2)]
        named += mcnemar(*sides, patients.tolist())["p"] < 0.05
    assert named <= 20


def test_reclassification_of_two_classes_by_hand():
    """Label, this network, the other one."""
    pairs = {
        (1, 1, 1): 20,
        (1, 1, 0): 8,
        (1, 0, 1): 2,
        (1, 0, 0): 10,
        (0, 0, 0): 30,
        (0, 1, 0): 5,
        (0, 0, 1): 3,
        (0, 1, 1): 2,
    }
    found = compared(*of_table(pairs))["reclassification"]
    ill, healthy = found["classes"]["ill"], found["classes"]["healthy"]
    assert {key: ill[key] for key in ("n", "both_right", "only_this", "only_other", "both_wrong")} == {
        "n": 40, "both_right": 20, "only_this": 8, "only_other": 2, "both_wrong": 10,
    }  # fmt: skip
    assert ill["table"] == [[10, 8], [2, 20]], "rows are the other network's classes"
    assert healthy["table"] == [[30, 5], [3, 2]]
    assert ill["net"]["value"] == pytest.approx((8 - 2) / 40)
    assert healthy["net"]["value"] == pytest.approx((3 - 5) / 40)
    assert found["index"]["value"] == pytest.approx(6 / 40 - 2 / 40)
    # Pencina et al.: the variance of a multinomial in each class
    error = np.sqrt((10 / 40 - (6 / 40) ** 2) / 40 + (8 / 40 - (2 / 40) ** 2) / 40)
    ends = 4 / 40 + np.array([-1, 1]) * norm.ppf(0.975) * error
    assert (found["index"]["low"], found["index"]["high"]) == pytest.approx(ends, abs=0.02)


def test_three_classes_have_a_table_each_and_no_index():
    this, other = two(classes=3)
    found = compared(this, other)["reclassification"]
    assert "index" not in found
    for index, name in enumerate(this.class_names):
        chosen = this.labels == index
        expected = np.zeros((3, 3), dtype=int)
        for one, two_ in zip(other.predicted[chosen], this.predicted[chosen], strict=True):
            expected[one, two_] += 1
        assert found["classes"][name]["table"] == expected.tolist()
        net = (this.predicted[chosen] == index).mean() - (other.predicted[chosen] == index).mean()
        assert found["classes"][name]["net"]["value"] == pytest.approx(net, abs=1e-6)


def test_few_studies_and_a_missing_class_have_words():
    found = compared(*two(12, 2))
    assert set(found["classes"]["ill"]["auc"].values()) == {found["classes"]["ill"]["auc"]["this"]}
    assert "too few (n = " in found["metrics"]["auc"]["difference"]
    assert "too few" in found["reclassification"]["index"]
    this, other = two(120, 2)
    other_names = NAMES[:3]
    with_third = [
        Predictions(np.hstack([one.probabilities, np.zeros((120, 1))]), one.labels, one.groups, other_names)
        for one in (this, other)
    ]
    found = compared(*with_third)
    assert found["classes"]["very ill"]["sensitivity"]["difference"] == "too few (n = 0)"
    assert found["metrics"]["auc"]["difference"]["n"] == 120, "the mean of the classes that occur"


def test_a_network_against_itself_differs_in_nothing():
    this, _ = two()
    found = compared(this, this)
    for number in numbers([row["difference"] for row in found["metrics"].values()]):
        assert (number["value"], number["low"], number["reason"]) == (0.0, None, "no interval: all resamples agree")
    assert found["mcnemar"]["p"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3])
def test_the_page_has_each_number_and_says_what_the_other_network_is(classes, tmp_path):
    one = evaluated(160, classes, per_patient=1, signal=2.0)
    worse = evaluated(160, classes, per_patient=1, signal=1.0).probabilities
    one = dataclasses.replace(one, other=worse)
    page, content, _ = written(tmp_path, one, other=OTHER | {"trained_images": None, "fitted_images": 7})
    assert "It is unknown whether the other network was trained on some of these images." in page.text
    assert "7 of these images chose the epoch of the other network." in page.text
    assert "Another <bundle>, 1.0" in page.text
    for number in numbers(content["against"]):
        assert f"n = {number['n']}" in page.text
        assert f"{abs(number['value']):.3f}" in page.text
    gain = content["against"]["metrics"]["balanced_accuracy"]["difference"]
    interval = f"({100 * gain['low']:.1f} to {100 * gain['high']:.1f})"
    sentence = f"Its balanced accuracy is {100 * gain['value']:.1f} points higher {interval} than that of the other"
    assert any(one.startswith(sentence) for one in content["summary"])


@pytest.mark.slow
def test_without_another_network_the_page_has_no_such_part(tmp_path):
    page, content, _ = written(tmp_path, evaluated(60, 2))
    assert "against" not in content
    assert "Against another network" not in page.text
    few = dataclasses.replace(evaluated(12, 2), other=evaluated(12, 2, seed=1).probabilities)
    content = measure(few, origin_of(few), OTHER).content
    assert "Whether it is better than the other network (Another <bundle>, 1.0) cannot be said." in content["summary"]
    assert isinstance(page, Page)


@pytest.mark.parametrize("per_patient", [1, 3])
def test_the_mean_auc_of_this_network_is_that_of_its_own_report(per_patient):
    this, other = two(per_patient=per_patient)
    found = compared(this, other)["metrics"]["auc"]
    assert found["this"] == this.performance["auc"]
    assert found["other"] == other.performance["auc"]
