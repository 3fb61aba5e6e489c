"""What is fitted while an evaluator validates: to the studies of its last epoch, by patient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd
from torch import nn

from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.calibrated_studies import CalibrateStudyd
from dwskd_monai.evaluation.evidence import Evidence, tempered
from dwskd_monai.evaluation.fitting import Wanted, fit_evidence
from dwskd_monai.evaluation.novelty import describe_slices
from dwskd_monai.evaluation.novelty_fitting import fit_novelty
from dwskd_monai.evaluation.validation_evidence import ValidationEvidence

NAMES = {"0": "a", "1": "b"}
STUDIES = 60
SLICES = 3
LABELS = np.arange(STUDIES) % 2
PATIENTS = [f"P{number // 2}" for number in range(STUDIES)]


def logits_of(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(STUDIES * SLICES, 2, generator=generator)
    logits[torch.arange(len(logits)), torch.from_numpy(LABELS.repeat(SLICES))] += 1
    return 2 * logits


def evaluator(logits: torch.Tensor, evidence: ValidationEvidence) -> SupervisedEvaluator:
    order = np.random.default_rng(0).permutation(len(logits))
    batches = []
    for part in np.array_split(order, 10):
        studies = part // SLICES
        batch = {"image": logits[part], "label": torch.from_numpy(LABELS[studies])}
        batch |= {"study": [f"S{study}" for study in studies], "study_index": torch.from_numpy(studies)}
        batch |= {"slice": torch.from_numpy(part % SLICES), "slices": torch.full((len(part),), SLICES)}
        batches.append(batch)
    engine = SupervisedEvaluator(
        "cpu",
        val_data_loader=batches,
        network=nn.Identity(),
        postprocessing=Activationsd(keys="pred", softmax=True),
    )
    evidence.attach(engine)
    return engine


def expected(logits: torch.Tensor, aggregation: Aggregation) -> dict:
    slices = logits.softmax(1).double().numpy().reshape(STUDIES, SLICES, 2)
    probabilities = np.stack([aggregation(study) for study in slices])
    wanted = Wanted(True, "sensitivity>=0.8", 0.8, novelty=None)
    record = fit_evidence(probabilities, LABELS, PATIENTS, ["a", "b"], aggregation, wanted)
    return record | {"novelty": {"reason": "novelty is null"}}


def test_it_is_fitted_to_the_studies_of_the_last_epoch_whichever_evaluator_had_it():
    aggregation = Aggregation("top_k", 2)
    evidence = ValidationEvidence(NAMES, PATIENTS, aggregation, True, "sensitivity>=0.8", 0.8, novelty=None)
    main, auxiliary = evaluator(logits_of(0), evidence), evaluator(logits_of(1), evidence)
    main.run()
    assert evidence.fit() == expected(logits_of(0), aggregation)
    auxiliary.run()
    assert evidence.fit() == expected(logits_of(1), aggregation)
    main.run()
    assert evidence.fit() == expected(logits_of(0), aggregation)


class Pictures:
    """A dataset of slices ``(1, H, W)``, with an augmentation."""

    def __init__(self, pictures: np.ndarray, augmented: bool = True) -> None:
        self.pictures = pictures
        self.augmented = augmented
        self.read = 0

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> dict:
        self.read += 1
        image = torch.from_numpy(self.pictures[index])
        return {"image": 100 * image if self.augmented else image, "study_index": index // SLICES}

    def without_augmentation(self, most: int) -> Pictures:
        assert most == 2000
        return Pictures(self.pictures, augmented=False)


def test_the_novelty_score_is_of_training_images_as_they_are_and_is_fitted_once():
    random = np.random.default_rng(0)
    training = random.normal(size=(90, 1, 16, 16)).astype(np.float32)
    validation = random.normal(size=(STUDIES * SLICES, 1, 16, 16)).astype(np.float32)
    pictures = Pictures(validation, augmented=False)
    evidence = ValidationEvidence(NAMES, PATIENTS, novelty=0.9, training=Pictures(training), validation=pictures)
    engine = evaluator(logits_of(0), evidence)
    engine.run()
    generator_before = torch.get_rng_state()
    studies = np.arange(len(validation)) // SLICES
    expected = fit_novelty(describe_slices(training), describe_slices(validation), studies, PATIENTS, 0.9)
    assert evidence.fit()["novelty"] == expected
    assert torch.equal(torch.get_rng_state(), generator_before), "a training goes on with the same random numbers"
    engine.run()
    assert evidence.fit()["novelty"] == expected
    assert pictures.read == len(validation)


def test_a_score_that_is_wanted_without_images_says_why_there_is_none():
    evidence = ValidationEvidence(NAMES, PATIENTS)
    evaluator(logits_of(0), evidence).run()
    assert evidence.fit()["novelty"] == {"reason": "the slices of the training or validation images are not known"}


def test_a_wrong_rule_is_refused_before_the_training():
    with pytest.raises(ValueError, match="operating_point: expected youden"):
        ValidationEvidence(NAMES, PATIENTS, operating_point="f1")


def test_a_server_gets_calibrated_probabilities_of_the_same_type():
    prediction = torch.tensor([0.9, 0.1])
    item = CalibrateStudyd(Evidence(2.0))({"pred": prediction, "file": "CT 1"})
    assert item["file"] == "CT 1"
    assert item["pred"].dtype == torch.float32
    assert item["pred"].numpy() == pytest.approx(tempered(prediction.double().numpy(), 2.0))
    assert torch.equal(CalibrateStudyd(None)({"pred": prediction})["pred"], prediction)
