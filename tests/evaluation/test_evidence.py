"""What inference says of a study by what a training fitted, and what it says if there is nothing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import yaml

from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.evidence import Evidence, lacking, read_evidence, tempered
from dwskd_monai.evaluation.fitting import Wanted, fit_evidence
from dwskd_monai.evaluation.novelty_fitting import fit_novelty

NAMES = ["a", "b", "c"]


def studies(count: int, seed: int = 0, temperature: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are too certain, and labels: mostly a, a third b, and few c."""
    random = np.random.default_rng(seed)
    right = random.dirichlet([1.2, 0.8, 0.15], count)
    labels = np.array([random.choice(3, p=row) for row in right])
    return tempered(right, 1 / temperature), labels


def fitted(count: int = 150, wanted: Wanted | None = None, aggregation: Aggregation | None = None) -> dict:
    probabilities, labels = studies(count)
    patients = [f"P{index // 2}" for index in range(count)]
    aggregation = Aggregation() if aggregation is None else aggregation
    return fit_evidence(probabilities, labels, patients, NAMES, aggregation, wanted or Wanted())


def test_a_record_is_plain_yaml_and_reads_as_it_was_written():
    record = fitted()
    assert yaml.safe_load(yaml.safe_dump(record)) == record
    assert read_evidence(yaml.safe_load(yaml.safe_dump(record))) == read_evidence(record)


def test_each_number_has_its_n_and_an_interval_and_says_what_it_was_fitted_on():
    record = fitted()
    assert record["fitted_on"] == "validation images, which also chose the epoch"
    assert record["intervals"] == "95 %, by patient: 75 patients"
    assert record["studies"] == 150
    _, labels = studies(150)
    point = record["operating_points"]["classes"]["b"]
    assert record["operating_points"]["rule"] == "youden"
    assert (point["n"], point["n_others"]) == ((labels == 1).sum(), (labels != 1).sum())
    for found, count in ((point["sensitivity"], point["n"]), (point["specificity"], point["n_others"])):
        assert found["n"] == count
        assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1
    assert record["temperature"]["interval"]["n"] == 150
    assert record["temperature"]["log_loss_change"]["high"] < 0


def test_a_class_with_few_patients_has_words_in_place_of_a_number_and_is_in_each_set():
    record = fitted(60)
    _, labels = studies(60)
    count = int((labels == 2).sum())
    assert len(set((np.arange(60) // 2)[labels == 2])) == count < 9
    reason = f"too few (n = {count})"
    few = {"n": count, "reason": reason}
    assert record["prediction_sets"]["classes"]["c"] == few
    point = record["operating_points"]["classes"]["c"]
    assert "threshold" not in point
    assert point["reason"] == reason
    evidence = read_evidence(record)
    assert evidence.prediction_set(np.array([0.98, 0.02, 0.0]), NAMES)[-1] == "c"
    assert "c" not in evidence.at_operating_point(np.array([0.0, 0.0, 1.0]), NAMES)
    assert f"c always in the prediction set: {reason}" in lacking(record)
    assert f"no operating point of c: {reason}" in lacking(record)


def test_operating_points_and_sets_are_of_calibrated_probabilities():
    record = fitted()
    evidence = read_evidence(record)
    probabilities, labels = studies(150)
    calibrated = evidence.calibrated(probabilities)
    assert calibrated == pytest.approx(tempered(probabilities, record["temperature"]["value"]))
    assert record["temperature"]["value"] > 1.5
    for index, name in enumerate(NAMES[:2]):
        sets = [evidence.prediction_set(row, NAMES) for row in calibrated[labels == index]]
        assert np.mean([name in one for one in sets]) >= 0.9


@pytest.mark.parametrize("count", [0, 1, 12])
def test_twelve_images_are_too_few_for_anything(count):
    record = fitted(count)
    parts = [record["temperature"]]
    parts += record["operating_points"]["classes"].values()
    parts += record["prediction_sets"]["classes"].values()
    assert len(parts) == 1 + 2 * len(NAMES)
    assert all(part["reason"].startswith("too few (n = ") for part in parts)
    assert all(": too few (n = " in words for words in lacking(record))
    evidence = read_evidence(record)
    probabilities = np.array([0.7, 0.2, 0.1])
    assert evidence.calibrated(probabilities) is probabilities
    assert evidence.describe(probabilities, NAMES) == {
        "at_operating_point": "not fitted", "prediction_set": "not fitted", "note": "",
    }  # fmt: skip


def test_a_missing_class_leaves_the_others_as_they_are():
    probabilities, labels = studies(150)
    chosen = labels != 2
    patients = [None] * int(chosen.sum())
    record = fit_evidence(probabilities[chosen], labels[chosen], patients, NAMES, Aggregation(), Wanted())
    assert record["operating_points"]["classes"]["c"]["reason"] == "too few (n = 0)"
    assert record["prediction_sets"]["classes"]["c"]["reason"] == "too few (n = 0)"
    assert "threshold" in record["operating_points"]["classes"]["a"]
    assert record["intervals"] == "95 %, by study: patients are unknown"


def test_patients_that_are_known_for_some_studies_are_said():
    probabilities, labels = studies(60)
    patients = ["P1", "P1", *[None] * 58]
    record = fit_evidence(probabilities, labels, patients, NAMES, Aggregation(), Wanted())
    assert record["intervals"] == "95 %, by patient where known (2 of 60 studies), else by study"


def test_what_is_not_wanted_is_not_fitted_and_said():
    record = fitted(wanted=Wanted(False, None, None))
    assert lacking(record) == [
        "probabilities are not calibrated: calibrate is false", "operating_point is null", "prediction_set is null",
    ]  # fmt: skip
    assert read_evidence(record).describe(np.array([1.0, 0, 0]), NAMES)["prediction_set"] == "not fitted"


def test_a_wrong_wish_is_refused_before_a_training():
    with pytest.raises(ValueError, match="operating_point: expected youden"):
        Wanted(operating_point="best")
    with pytest.raises(ValueError, match="prediction_set: expected a share"):
        Wanted(prediction_set=90)
    with pytest.raises(ValueError, match="novelty: expected a share"):
        Wanted(novelty=95)


def test_what_an_earlier_version_trained_says_what_it_lacks(caplog):
    with caplog.at_level("INFO"):
        evidence = read_evidence({})
    assert "the trained settings have none; an earlier version" in caplog.text
    assert evidence.record["applied"] is False
    assert evidence.describe(np.array([0.9, 0.1, 0.0]), NAMES)["at_operating_point"] == "not fitted"


@pytest.mark.parametrize(
    ("fitted_with", "used", "applied"),
    [
        (Aggregation(), Aggregation("mean", 3), True),
        (Aggregation(), Aggregation("max"), False),
        (Aggregation("top_k", 3), Aggregation("top_k", 3), True),
        (Aggregation("top_k", 3), Aggregation("top_k", 5), False),
    ],
)
def test_what_was_fitted_for_another_aggregation_is_not_applied(caplog, fitted_with, used, applied):
    record = fitted(aggregation=fitted_with)
    with caplog.at_level("INFO"):
        evidence = read_evidence(record, used)
    assert evidence.record["applied"] is applied
    assert (evidence.temperature == 1) is not applied
    assert ("fitted for the aggregation" in caplog.text) is not applied


def with_novelty(count: int = 40) -> dict:
    described = np.random.default_rng(0).normal(size=(count + 60, 5))
    novelty = fit_novelty(described[:60], described[60:], np.arange(count), [None] * count)
    return fitted() | {"novelty": novelty}


def test_the_novelty_score_is_read_and_outputs_have_its_limits_but_not_its_arrays(caplog):
    record = with_novelty()
    with caplog.at_level("INFO"):
        evidence = read_evidence(record)
    assert evidence.novelty.study_limit == record["novelty"]["studies"]["limit"]
    shown = evidence.record["novelty"]
    assert shown == {key: record["novelty"][key] for key in ("share", "training_slices", "studies", "slices")}
    assert "novelty" not in caplog.text
    assert read_evidence(record, Aggregation("max")).novelty is not None, "it does not depend on the aggregation"


def test_few_validation_images_give_a_score_without_a_limit_and_the_log_says_so(caplog):
    with caplog.at_level("INFO"):
        evidence = read_evidence(with_novelty(12))
    assert evidence.novelty.study_limit is None
    assert "the novelty score has no limit: too few (n = 12)" in caplog.text


@pytest.mark.parametrize(
    ("novelty", "reason"),
    [({}, "the trained settings have none"), ({"novelty": {"reason": "novelty is null"}}, "novelty is null")],
)
def test_a_network_without_a_novelty_score_says_so_once(caplog, novelty, reason):
    with caplog.at_level("INFO"):
        assert read_evidence(fitted() | novelty).novelty is None
    assert caplog.text.count(f"no novelty score: {reason}") == 1


def test_a_damaged_record_is_named():
    record = fitted()
    del record["prediction_sets"]
    with pytest.raises(ValueError, match="evidence in the trained settings is incomplete: KeyError"):
        read_evidence(record)


def test_the_columns_name_the_classes_that_reach_their_thresholds():
    evidence = Evidence(1.0, {"a": 0.5, "b": 0.2}, {"a": 0.6, "b": 0.3, "c": 0.4}, 0.9)
    assert evidence.describe(np.array([0.55, 0.25, 0.2]), NAMES) == {
        "at_operating_point": "a|b",
        "prediction_set": "",
        "note": "no class fits at 90%: probabilities unlike those that the sets were fitted to",
    }
    assert evidence.describe(np.array([0.3, 0.1, 0.6]), NAMES) == {
        "at_operating_point": "", "prediction_set": "c", "note": "",
    }  # fmt: skip


def test_what_inference_needs_is_read_without_scipy_and_torch():
    unwanted = {"torch", "scipy", "sklearn", "monai"}
    code = f"import sys, dwskd_monai.evaluation.evidence; print(sorted({unwanted} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
