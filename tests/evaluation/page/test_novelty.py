"""Studies unlike the training images, and sites: each number by hand or by scikit-learn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from dwskd_monai.evaluation.evidence import Evidence, read_evidence
from dwskd_monai.evaluation.novelty import Novelty
from dwskd_monai.evaluation.novelty_fitting import fit_novelty
from dwskd_monai.evaluation.page.sites import sites
from dwskd_monai.evaluation.page.subsets import Predictions, performance
from tests.evaluation.page.made import evaluated
from tests.evaluation.page.test_page import content_of, written

QUANTILES = {"5": 0.7, "25": 0.85, "50": 1.0, "75": 1.2, "95": 1.5}
STUDIES = {"limit": 1.6, "n": 60, "quantiles": QUANTILES}


def evidence(limit=1.6, studies=None) -> Evidence:
    """What a training with a novelty score leaves."""
    record = {"applied": False, "reason": "x", "novelty": {"share": 0.95, "studies": studies or STUDIES}}
    return Evidence(record=record, novelty=Novelty(np.zeros(28), np.eye(28), study_limit=limit))


def made(classes=3, count=200, beyond=40, **given):
    """Studies of which the last are unlike the training images, and are all predicted as the next class."""
    one = evaluated(count, classes, per_patient=1, signal=3.0, seed=3)
    probabilities = one.probabilities.copy()
    wrong = np.arange(count) >= count - beyond
    probabilities[wrong] = np.roll(np.eye(classes)[one.labels[wrong]], 1, axis=1) * 0.9 + 0.1 / classes
    scores = np.random.default_rng(0).uniform(0.6, 1.5, count)
    scores[wrong] += 2
    site = ["A" if number % 2 or number >= count - beyond else "B" for number in range(count)]
    options = {"novelty": scores.tolist(), "evidence": evidence(), "columns": {"site": site}} | given
    return dataclasses.replace(one, probabilities=probabilities, **options), wrong


def expected(one, chosen):
    labels, probabilities = one.labels[chosen], one.probabilities[chosen]
    areas = [roc_auc_score(labels == index, probabilities[:, index]) for index in range(len(one.class_names))]
    predicted = probabilities.argmax(1)
    return (predicted == labels).mean(), balanced_accuracy_score(labels, predicted), np.mean(areas)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3])
def test_performance_with_and_without_unlike_studies_is_that_of_scikit_learn(classes):
    one, wrong = made(classes)
    content = content_of(one)["novelty"]
    parts = {"all": wrong | True, "like": ~wrong, "unlike": wrong}
    for name, chosen in parts.items():
        part = content["performance"][name]
        assert part["studies"] == chosen.sum()
        values = [part[key]["value"] for key in ("accuracy", "balanced_accuracy", "auc")]
        assert values == pytest.approx(expected(one, chosen), abs=1e-6)
        assert part["accuracy"]["n"] == chosen.sum()
    low, high = binomtest(40, 200).proportion_ci()
    assert content["unlike"] == pytest.approx({"value": 0.2, "low": low, "high": high, "n": 200}, abs=1e-5)


@pytest.mark.slow
def test_the_distribution_counts_each_study_once_and_none_beyond_the_limit_before_it():
    one, wrong = made()
    distribution = content_of(one)["novelty"]["distribution"]
    edges, counts = np.array(distribution["edges"]), np.array(distribution["counts"])
    assert counts.sum() == 200
    assert counts[edges[:-1] >= 1.6].sum() == wrong.sum()
    assert 1.6 in edges
    at_limit = dataclasses.replace(one, novelty=[1.6] * 100 + [1.7] * 100)
    distribution = content_of(at_limit)["novelty"]["distribution"]
    edges, counts = np.array(distribution["edges"]), np.array(distribution["counts"])
    assert counts[edges[:-1] >= 1.6].sum() == 100, "a score at the limit is not beyond it"


@pytest.mark.slow
def test_a_study_far_beyond_the_limit_leaves_the_others_their_bars(tmp_path):
    one, _ = made()
    far = dataclasses.replace(one, novelty=[1004.0, 990.0, *one.novelty[2:]])
    page, content, _ = written(tmp_path, far)
    distribution = content["novelty"]["distribution"]
    assert distribution["edges"][-1] == pytest.approx(5 * 1.6)
    assert distribution["off_scale"] == 2
    assert sum(distribution["counts"]) == 200
    assert distribution["counts"][-1] == 2
    (words,) = [value for _, name, value in page.attributes if name == "alt" and "which novelty" in value]
    assert "(last bar: 2 beyond 8)" in words


@pytest.mark.slow
def test_the_spread_is_said_beside_that_of_the_validation_images(tmp_path):
    one, _ = made()
    page, content, _ = written(tmp_path, one)
    quantiles = np.percentile(one.novelty, (5, 25, 50, 75, 95))
    assert list(content["novelty"]["scores"]["quantiles"].values()) == pytest.approx(quantiles, abs=1e-4)
    assert content["novelty"]["validation"] == {"quantiles": QUANTILES, "n": 60}
    assert "beyond the limit of 1.60, a study is unlike them" in page.text
    assert "40 of 200 studies (20 %) look unlike the training images; of studies like the validation" in page.text
    assert "images, about 5 % do. Do not rely on their predictions." in page.text
    titles = [value for _, name, value in page.attributes if name == "alt"]
    assert sum("novelty score" in title for title in titles) == 2


def test_a_training_keeps_the_spread_of_its_validation_scores_and_its_reason_if_there_is_no_limit():
    random = np.random.default_rng(0)
    fitted = fit_novelty(random.normal(size=(80, 6)), random.normal(size=(40, 6)), np.arange(40), [None] * 40)
    kept = read_evidence(
        {
            "aggregation": {"method": "mean", "k": 5},
            "temperature": {"value": 1.0},
            "operating_points": {},
            "prediction_sets": {},
            "novelty": fitted,
        }
    )
    content = content_of(dataclasses.replace(made()[0], evidence=kept))["novelty"]
    assert content["validation"]["quantiles"] == fitted["studies"]["quantiles"]
    assert content["limit"] == pytest.approx(fitted["studies"]["limit"], abs=1e-4)
    assert set(fitted["studies"]["quantiles"]) == set(QUANTILES)


LACKING = {
    "an earlier version": (
        {"novelty": [None] * 200, "evidence": Evidence(record={"applied": True, "temperature": {"value": 1.0},
        "operating_points": {}, "prediction_sets": {}})},
        "There is no novelty score: an earlier version trained the network.",
    ),
    "novelty is null": (
        {"novelty": (), "evidence": Evidence(record={"applied": False, "reason": "x",
        "novelty": {"reason": "novelty is null"}})},
        "There is no novelty score: novelty is null.",
    ),
    "no limit": (
        {"evidence": evidence(None, {"n": 12, "reason": "too few (n = 12)"})},
        "The novelty score has no limit: too few (n = 12).",
    ),
    "no spread": (
        {"evidence": evidence(1.6, {"limit": 1.6, "n": 60})},
        "How the scores of the validation images are spread is unknown: an earlier version trained the network",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", LACKING)
def test_what_a_network_lacks_is_said(case, tmp_path):
    given, words = LACKING[case]
    page, content, _ = written(tmp_path, made(**given)[0])
    assert words in page.text
    if case != "no spread":
        assert "performance" not in content["novelty"]
        assert any("How many studies are unlike the training images is unknown" in one for one in content["limits"])


@pytest.mark.slow
def test_few_unlike_studies_have_words_in_place_of_numbers():
    one, _ = made(beyond=4)
    part = content_of(one)["novelty"]["performance"]["unlike"]
    assert part["accuracy"] == part["balanced_accuracy"] == part["auc"] == "too few (n = 4)"
    none = content_of(made(beyond=0)[0])["novelty"]
    assert none["performance"]["unlike"]["auc"] == "too few (n = 0)"
    assert none["unlike"]["value"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3])
def test_each_site_has_its_numbers_and_all_sites_together_those_of_all_studies(classes, tmp_path):
    one, _ = made(classes)
    page, content, _ = written(tmp_path, one)
    found = content["sites"]
    named = np.array(one.columns["site"])
    for part, chosen in ((found["pooled"], named != ""), *((found["sites"][name], named == name) for name in "AB")):
        values = [part[key]["value"] for key in ("accuracy", "balanced_accuracy", "auc")]
        assert values == pytest.approx(expected(one, chosen), abs=1e-6)
        assert part["unlike"]["value"] == pytest.approx((np.array(one.novelty)[chosen] > 1.6).mean(), abs=1e-6)
        assert part["unlike"]["n"] == chosen.sum()
        of_class = part["classes"]["ill"]
        ill = chosen & (one.labels == 1)
        assert of_class["n"] == ill.sum()
        assert of_class["sensitivity"]["value"] == pytest.approx(
            (one.probabilities[ill].argmax(1) == 1).mean(), abs=1e-6
        )
        other = chosen & (one.labels != 1)
        specificity = (one.probabilities[other].argmax(1) != 1).mean()
        assert of_class["specificity"]["value"] == pytest.approx(specificity, abs=1e-6)
        area = roc_auc_score(one.labels[chosen] == 1, one.probabilities[chosen, 1])
        assert of_class["auc"]["value"] == pytest.approx(area, abs=1e-6)
    assert f"{found['sites']['A']['auc']['value']:.3f}" in page.text
    assert found["pooled"]["accuracy"] == content["study"]["macro"]["accuracy"]
    assert found["pooled"]["auc"]["value"] == content["study"]["macro"]["auc"]["value"]


def test_a_site_that_lacks_a_class_has_the_mean_of_the_others_and_a_small_site_words():
    one, _ = made(3)
    site = np.where(one.labels == 2, "A", np.array(one.columns["site"]))
    site[:5] = "C"
    found = content_of(dataclasses.replace(one, columns={"site": site.tolist()}))["sites"]["sites"]
    assert found["B"]["classes"]["very ill"]["auc"] == "too few (n = 0)"
    areas = [found["B"]["classes"][name]["auc"]["value"] for name in ("healthy", "ill")]
    assert found["B"]["auc"]["value"] == pytest.approx(np.mean(areas), abs=1e-6)
    assert found["C"]["accuracy"] == found["C"]["auc"] == "too few (n = 5)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({}, "the datalist has no column site"),
        ({"site": ["A"] * 200}, "each study is of the site A"),
        ({"site": [str(number) for number in range(200)]}, "200 sites; at most 12 are compared"),
    ],
)
def test_without_several_sites_the_page_says_so(columns, reason, tmp_path):
    page, content, _ = written(tmp_path, made(columns=columns)[0])
    assert content["sites"] == {"reason": reason}
    assert f"Sites are not compared: {reason}." in page.text


def test_studies_without_a_site_are_a_column_of_their_own_at_the_end():
    one, _ = made()
    site = [None if number < 30 else name for number, name in enumerate(one.columns["site"])]
    found = sites(
        {"site": site}, (), Evidence(), Predictions(one.probabilities, one.labels, range(200), one.class_names)
    )
    assert list(found["sites"]) == ["A", "B", "unknown"]
    assert "unlike" not in found["pooled"], "there is no score"


def test_studies_of_one_class_have_an_accuracy_alone():
    labels = np.zeros(30, dtype=int)
    probabilities = np.tile([0.7, 0.3], (30, 1))
    found = performance(Predictions(probabilities, labels, range(30), ("healthy", "ill")))
    assert found["accuracy"]["value"] == 1
    assert found["auc"] == found["balanced_accuracy"] == "undefined: there is one class"
    assert found["classes"]["healthy"]["auc"] == "too few (n = 0) of other classes"
