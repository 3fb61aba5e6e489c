"""What inference and evaluation say of studies that are unlike the training images."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd
from torch import nn

from dwskd_monai.evaluation.calibrated_studies import WarnOfNoveltyd
from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.novelty import Novelty, describe_slices
from dwskd_monai.evaluation.novelty_fitting import fit_distance
from dwskd_monai.evaluation.predictions import PredictionWriter
from dwskd_monai.evaluation.report import EvaluationReport
from tests.evaluation.evaluate import read_rows

SIZE = 16
STUDIES = ("CT 0", "CT 1", "CT 2", "CT 3")
SLICES = 3
LIMIT = 2.0


def pictures() -> torch.Tensor:
    """Three slices of each study; those of the last are of another kind."""
    slices = torch.randn(len(STUDIES) * SLICES, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    slices[-SLICES:] = 5 + torch.arange(SIZE) / SIZE
    return slices


def novelty(limit: float | None = LIMIT) -> Novelty:
    training = np.random.default_rng(1).normal(size=(200, 1, SIZE, SIZE))
    distance = fit_distance(describe_slices(training))
    return Novelty(distance.center, distance.whitening, limit, limit)


def run(handler: PredictionWriter) -> None:
    """Predict all slices in a random order, in batches that go across studies."""
    slices = pictures()
    order = np.random.default_rng(2).permutation(len(slices))
    batches = []
    for part in np.array_split(order, 5):
        studies = part // SLICES
        batch = {"image": slices[part], "study": [STUDIES[study] for study in studies]}
        batch |= {"study_index": torch.from_numpy(studies), "label": torch.from_numpy(studies % 2)}
        batch |= {"slice": torch.from_numpy(part % SLICES), "slices": torch.full((len(part),), SLICES)}
        batches.append(batch)
    torch.manual_seed(0)
    SupervisedEvaluator(
        "cpu",
        val_data_loader=batches,
        network=nn.Sequential(nn.Flatten(), nn.Linear(SIZE**2, 2)),
        postprocessing=Activationsd(keys="pred", softmax=True),
        val_handlers=[handler],
    ).run()


def column(path, name: str) -> list[str]:
    header, *rows = read_rows(path)
    return [row[header.index(name)] for row in rows]


def test_studies_and_slices_have_scores_and_the_note_says_which_are_unlike_the_training(tmp_path, caplog):
    run(PredictionWriter(tmp_path, ("a", "b"), evidence=Evidence(novelty=novelty())))
    slices = novelty().of_slices(pictures().numpy())
    studies = slices.reshape(-1, SLICES).mean(1)
    assert (studies[:3] < LIMIT).all()
    assert studies[3] > LIMIT
    table = tmp_path / "predictions.csv"
    assert column(table, "novelty") == [f"{score:.2f}" for score in studies]
    assert column(table, "unlike_training") == ["false", "false", "false", "true"]
    note = f"unlike the training images: score {studies[3]:.2f}, limit 2.00"
    assert column(table, "note") == ["", "", "", note]
    assert column(tmp_path / "slice_predictions.csv", "novelty") == [f"{score:.2f}" for score in slices]
    assert all(column(table, "predicted"))
    assert "1 of 4 studies is unlike the training images (CT 3): do not rely on its prediction" in caplog.text
    written = json.loads((tmp_path / "predictions.json").read_text())
    assert written["unlike_training"] == {"studies": 1, "of": 4}


def test_one_that_abstains_predicts_no_class_for_a_study_that_is_unlike_the_training(tmp_path):
    run(PredictionWriter(tmp_path, ("a", "b"), evidence=Evidence(novelty=novelty()), abstain=True))
    predicted = column(tmp_path / "predictions.csv", "predicted")
    assert predicted[3] == ""
    assert all(predicted[:3])
    assert all(float(value) > 0 for value in column(tmp_path / "predictions.csv", "a"))
    assert json.loads((tmp_path / "predictions.json").read_text())["abstain"] is True


def test_without_a_limit_there_is_a_score_and_nothing_is_said_of_it(tmp_path):
    run(PredictionWriter(tmp_path, ("a", "b"), evidence=Evidence(novelty=novelty(None))))
    table = tmp_path / "predictions.csv"
    assert all(float(score) > 0 for score in column(table, "novelty"))
    assert column(table, "unlike_training") == column(table, "note") == [""] * 4
    assert json.loads((tmp_path / "predictions.json").read_text())["unlike_training"] is None


@pytest.mark.parametrize("evidence", [None, Evidence(novelty=novelty(None))])
def test_one_that_cannot_tell_refuses_to_abstain(tmp_path, evidence):
    with pytest.raises(ValueError, match="abstain: expected a limit of the novelty score in the trained settings"):
        PredictionWriter(tmp_path, ("a", "b"), evidence=evidence, abstain=True)


def test_an_evaluation_says_how_many_studies_are_unlike_the_training(tmp_path, caplog):
    with caplog.at_level("INFO"):
        run(EvaluationReport(tmp_path / "some", ("a", "b"), evidence=Evidence(novelty=novelty())))
        run(EvaluationReport(tmp_path / "none", ("a", "b"), evidence=Evidence(novelty=novelty(1e6))))
    for name, count in (("some", 1), ("none", 0)):
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        assert metrics["unlike_training"] == {"studies": count, "of": 4}
    assert "1 of 4 studies is unlike the training images" in caplog.text
    assert "0 of 4 studies are unlike the training images" in caplog.text


def test_a_server_warns_of_a_study_that_is_unlike_the_training_and_of_no_other(caplog):
    known, unknown = (pictures()[first : first + SLICES].movedim(0, 1) for first in (0, len(STUDIES) * SLICES - SLICES))
    warn = WarnOfNoveltyd(Evidence(novelty=novelty()))
    item = {"image": known, "file": "CT 0"}
    assert warn(item) is item
    assert not caplog.records
    score = novelty().of_slices(unknown.movedim(1, 0).numpy()).mean()
    warn({"image": unknown, "file": "CT 3"})
    assert caplog.messages == [f"CT 3 is unlike the training images: score {score:.2f}, limit 2.00"]
    WarnOfNoveltyd(Evidence(novelty=novelty(None)))({"image": unknown})
    WarnOfNoveltyd(None)({"image": unknown})
    assert len(caplog.records) == 1, "without a limit nobody can tell"
