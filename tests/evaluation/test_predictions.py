from __future__ import annotations

import numpy as np
import pytest
import torch

from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.evidence import Evidence, tempered
from dwskd_monai.evaluation.predictions import PredictionWriter
from dwskd_monai.evaluation.studies import IncompleteStudiesError
from tests.evaluation.evaluate import LOGITS, evaluate, read_rows

SAID = ["at_operating_point", "prediction_set", "unlike_training", "novelty", "note"]


def test_predictions_have_a_row_per_picture_with_names(tmp_path):
    evaluate(PredictionWriter(tmp_path, {"0": "a", "1": "b", "2": "c"}))
    rows = read_rows(tmp_path / "predictions.csv")
    assert rows[0] == ["study", "label", "predicted", "a", "b", "c", "slices", *SAID]
    assert [row[:3] for row in rows[1:]] == [
        ["0.png", "a", "a"],
        ["1.png", "c", "b"],
        ["2.png", "c", "c"],
        ["3.png", "c", "b"],
    ]
    assert np.allclose(np.array([row[3:6] for row in rows[1:]], float), LOGITS.softmax(1).numpy(), atol=1e-6)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["predictions.csv", "predictions.json"], "studies have one slice each"


def test_the_logarithm_of_a_small_probability_is_kept(tmp_path):
    logits = torch.tensor([[0.0, -gap, -20.0] for gap in (5.0, 12.0, 18.0, 30.0)])
    evaluate(PredictionWriter(tmp_path, ("a", "b", "c")), logits, (1, 1, 1, 1))
    rows = read_rows(tmp_path / "predictions.csv")[1:]
    shown = np.array([row[3:6] for row in rows], float)
    assert np.allclose(np.log(shown), logits.double().log_softmax(1).numpy(), atol=1e-3)


def test_slices_are_aggregated_and_have_rows_of_their_own(tmp_path):
    logits = torch.randn(7, 3)
    evaluate(PredictionWriter(tmp_path, ("a", "b", "c"), Aggregation("max")), logits, (4, 1, 2), labeled=False)
    probabilities = logits.softmax(1).double().numpy()
    rows = read_rows(tmp_path / "predictions.csv")
    assert rows[0] == ["study", "predicted", "a", "b", "c", "slices", *SAID]
    parts = [probabilities[:4], probabilities[4:5], probabilities[5:]]
    expected = [largest / largest.sum() for largest in (part.max(0) for part in parts)]
    assert np.allclose(np.array([row[2:5] for row in rows[1:]], float), expected, atol=1e-6)
    assert [row[5] for row in rows[1:]] == ["4", "1", "2"]
    slices = read_rows(tmp_path / "slice_predictions.csv")
    assert slices[0] == ["study", "slice", "predicted", "a", "b", "c", "novelty"]
    assert [row[:2] for row in slices[1:]] == [["0.png", str(i)] for i in range(4)] + [["2.png", "0"], ["2.png", "1"]]
    assert np.allclose(np.array([row[3:6] for row in slices[1:]], float), probabilities[[0, 1, 2, 3, 5, 6]], atol=1e-6)


def test_a_study_has_calibrated_probabilities_and_what_they_reach_and_slices_have_those_of_the_network(tmp_path):
    logits = torch.randn(7, 3)
    evidence = Evidence(2.0, {"a": 0.0, "b": 1.0}, {"a": 0.0, "b": 1.0, "c": 0.0}, 0.9)
    evaluate(PredictionWriter(tmp_path, ("a", "b", "c"), evidence=evidence), logits, (4, 1, 2))
    probabilities = logits.softmax(1).double().numpy()
    expected = np.stack([tempered(part.mean(0), 2.0) for part in np.split(probabilities, [4, 5])])
    rows = read_rows(tmp_path / "predictions.csv")[1:]
    shown = np.array([row[3:6] for row in rows], float)
    assert np.allclose(shown, expected, atol=1e-6)
    assert np.allclose(shown.sum(1), 1, atol=2e-6)
    assert [row[2] for row in rows] == ["abc"[index] for index in expected.argmax(1)]
    assert [row[7:] for row in rows] == [["a", "a|c", "", "", ""]] * 3
    slices = read_rows(tmp_path / "slice_predictions.csv")[1:]
    assert np.allclose(np.array([row[4:7] for row in slices], float), probabilities[[0, 1, 2, 3, 5, 6]], atol=1e-6)


def test_the_note_says_in_words_what_is_unusual(tmp_path):
    evidence = Evidence(1.0, {}, {"a": 1.0, "b": 1.0, "c": 1.0}, 0.9)
    handler = PredictionWriter(tmp_path, ("a", "b", "c"), planes={"axial": 50}, evidence=evidence)
    evaluate(handler, planes=["axial", "sagittal", "unknown", "axial"])
    no_class = "no class fits at 90%: probabilities unlike those that the sets were fitted to"
    assert [row[11] for row in read_rows(tmp_path / "predictions.csv")[1:]] == [
        no_class, f"sagittal slices, unlike the training images; {no_class}", no_class, no_class,
    ]  # fmt: skip


def test_without_evidence_the_columns_are_there_and_say_so(tmp_path):
    evaluate(PredictionWriter(tmp_path, ("a", "b", "c")))
    assert [row[7:] for row in read_rows(tmp_path / "predictions.csv")[1:]] == [
        ["not fitted", "not fitted", "", "", ""]
    ] * 4


def test_an_interruption_costs_no_finished_study(tmp_path):
    logits = torch.randn(7, 3)
    logits[6] = torch.nan
    (tmp_path / "predictions.csv").write_text("of an earlier run")
    with pytest.raises(FloatingPointError, match="2.png: the network's prediction is not finite"):
        evaluate(PredictionWriter(tmp_path, ("a", "b", "c")), logits, (4, 1, 2))
    assert [row[0] for row in read_rows(tmp_path / "predictions.partial.csv")] == ["study", "0.png", "1.png"]
    assert (tmp_path / "predictions.csv").read_text() == "of an earlier run"


def test_a_study_that_lacks_slices_is_named_and_the_others_are_kept(tmp_path):
    (tmp_path / "predictions.csv").write_text("of an earlier run")
    with pytest.raises(IncompleteStudiesError, match=r"incomplete studies have no prediction: 2.png \(1 of 2 slices\)"):
        evaluate(PredictionWriter(tmp_path, ("a", "b", "c")), torch.randn(7, 3), (4, 1, 2), lost=[5])
    assert [row[0] for row in read_rows(tmp_path / "predictions.partial.csv")] == ["study", "0.png", "1.png"]
    assert (tmp_path / "predictions.csv").read_text() == "of an earlier run"


def test_a_handler_used_twice_starts_anew(tmp_path):
    handler = PredictionWriter(tmp_path, ("a", "b", "c"))
    evaluate(handler)
    evaluate(handler)
    assert len(read_rows(tmp_path / "predictions.csv")) == 5


def test_a_network_with_another_number_of_outputs_is_named(tmp_path):
    with pytest.raises(ValueError, match="0.png: the network has 3 outputs, but the metadata has 2 classes"):
        evaluate(PredictionWriter(tmp_path, ("a", "b")))
    assert not (tmp_path / "predictions.csv").exists()
