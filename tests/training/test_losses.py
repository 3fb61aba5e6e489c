from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dwskd_monai.training import (
    BatchEnsembled,
    DistillationTerm,
    LogitStandard,
    SelfDistillationLoss,
    SimilarityPreserving,
    SoftenedKL,
    StudentOutput,
)
from dwskd_monai.training.losses.batch_ensembled import ensembled_targets

TERMS = [SoftenedKL, LogitStandard, BatchEnsembled, SimilarityPreserving]


def softened_kl(logits: torch.Tensor, peer_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    return SoftenedKL(temperature)(StudentOutput(logits), StudentOutput(peer_logits))


def logit_standard(logits: torch.Tensor, peer_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    return LogitStandard(temperature)(StudentOutput(logits), StudentOutput(peer_logits))


def similarity_preserving(features: torch.Tensor, peer_features: torch.Tensor) -> torch.Tensor:
    logits = torch.zeros(len(features), 3)
    return SimilarityPreserving()(StudentOutput(logits, features), StudentOutput(logits, peer_features))


def naive_kl(logits: list[list[float]], peer: list[list[float]], temperature: float) -> float:
    """T² · Σ p log(p / q) / B from the formula, with plain floats."""
    total = 0.0
    for row, peer_row in zip(logits, peer):
        q = softmax(row, temperature)
        p = softmax(peer_row, temperature)
        total += sum(a * math.log(a / b) for a, b in zip(p, q))
    return temperature**2 * total / len(logits)


def softmax(row: list[float], temperature: float) -> list[float]:
    powers = [math.exp(z / temperature) for z in row]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_softened_kl_is_the_formula(temperature):
    logits, peer = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    expected = naive_kl(logits.tolist(), peer.tolist(), temperature)
    assert softened_kl(logits, peer, temperature).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("term", TERMS)
def test_a_term_teaches_one_side_only(term):
    logits, peer, features, peer_features = (torch.randn(4, 3, requires_grad=True) for _ in range(4))
    loss = SelfDistillationLoss(term=term(), task_loss=ZeroTask())
    loss(StudentOutput(logits, features), torch.zeros(4).long(), StudentOutput(peer, peer_features)).backward()
    assert (features if term is SimilarityPreserving else logits).grad.abs().sum() > 0
    assert peer.grad is None
    assert peer_features.grad is None


class ZeroTask(nn.Module):
    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return logits.sum() * 0


def test_logit_standard_is_the_kl_of_standardized_logits():
    logits, peer = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)

    def standardize(row: list[float]) -> list[float]:
        mean = sum(row) / len(row)
        deviation = math.sqrt(sum((z - mean) ** 2 for z in row) / len(row))
        return [(z - mean) / deviation for z in row]

    rows = [standardize(row) for row in logits.tolist()]
    peer_rows = [standardize(row) for row in peer.tolist()]
    expected = naive_kl(rows, peer_rows, 2.0)
    assert logit_standard(logits, peer, 2.0).item() == pytest.approx(expected, rel=1e-4)


def test_logit_standard_does_not_see_shift_and_scale():
    logits = torch.randn(5, 3, dtype=torch.float64)
    assert logit_standard(logits, 7 * logits - 2, 2.0).item() == pytest.approx(0, abs=1e-6)
    assert softened_kl(logits, 7 * logits - 2, 2.0).item() > 0.1


def test_logits_that_are_all_equal_give_a_finite_gradient():
    logits = torch.zeros(2, 3, requires_grad=True)
    logit_standard(logits, torch.randn(2, 3), 1.0).backward()
    assert torch.isfinite(logits.grad).all()


def test_bake_is_the_sum_of_its_series():
    """(1 - ω) Σ ωᵏ Aᵏ P, the propagation repeated without end, with A from plain floats."""
    features = torch.randn(4, 6, dtype=torch.float64)
    probabilities = torch.randn(4, 3, dtype=torch.float64).softmax(1)
    rows = [[value / math.sqrt(sum(v * v for v in row)) for value in row] for row in features.tolist()]
    affinity = torch.zeros(4, 4, dtype=torch.float64)
    for i in range(4):
        weights = [0.0 if i == j else math.exp(sum(a * b for a, b in zip(rows[i], rows[j]))) for j in range(4)]
        affinity[i] = torch.tensor([weight / sum(weights) for weight in weights], dtype=torch.float64)
    expected = torch.zeros_like(probabilities)
    term = probabilities
    for power in range(200):
        expected = expected + 0.5 * 0.5**power * term
        term = affinity @ term
    got = ensembled_targets(probabilities, features, propagation=0.5)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(got.sum(1), torch.ones(4, dtype=torch.float64))


def test_bake_without_propagation_is_the_softened_kl():
    logits, peer, features = torch.randn(4, 3), torch.randn(4, 3), torch.randn(4, 6)
    got = BatchEnsembled(2.0, propagation=0.0)(StudentOutput(logits), StudentOutput(peer, features))
    assert got.item() == pytest.approx(softened_kl(logits, peer, 2.0).item(), rel=1e-5)


def test_bake_is_the_kl_to_the_targets_that_the_batch_shares():
    logits, peer, features = torch.randn(4, 3), torch.randn(4, 3), torch.randn(4, 6)
    got = BatchEnsembled(2.0)(StudentOutput(logits), StudentOutput(peer, features))
    targets = ensembled_targets((peer / 2).softmax(1), features)
    expected = naive_kl(logits.tolist(), (2 * targets.log()).tolist(), 2.0)
    assert got.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("term", [BatchEnsembled, SimilarityPreserving])
def test_a_term_that_compares_samples_needs_two_of_them(term):
    alone = StudentOutput(torch.randn(1, 3), torch.randn(1, 5))
    with pytest.raises(ValueError, match=f"{term.__name__} needs a batch of at least 2 samples"):
        term()(alone, alone)


@pytest.mark.parametrize("term", [SoftenedKL, LogitStandard])
def test_the_objective_has_the_term_that_it_is_given(term):
    logits, peer, target = torch.randn(6, 3), torch.randn(6, 3), torch.randint(3, (6,))
    student = StudentOutput(logits)
    peer = StudentOutput(peer)
    expected = nn.functional.cross_entropy(logits, target) + 0.7 * term(3.0)(student, peer)
    got = SelfDistillationLoss(term=term(3.0), weight=0.7)(student, target, peer)
    assert got.item() == pytest.approx(expected.item(), rel=1e-6)


def test_similarity_is_the_formula():
    features, peer_features = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    expected = 0.0
    for i in range(4):
        rows = [[float(h[i] @ h[j]) for j in range(4)] for h in (features, peer_features)]
        rows = [[value / math.sqrt(sum(v * v for v in row)) for value in row] for row in rows]
        expected += sum((a - b) ** 2 for a, b in zip(*rows)) / 16
    assert similarity_preserving(features, peer_features).item() == pytest.approx(expected, rel=1e-9)


def test_similarity_does_not_depend_on_the_order_of_neurons():
    features = torch.randn(8, 5)
    assert similarity_preserving(features, features[:, torch.randperm(5)]).item() == pytest.approx(0, abs=1e-10)


def test_objective_is_the_sum_of_its_terms():
    loss = SelfDistillationLoss(term=SoftenedKL(3.0), weight=0.7, feature_weight=0.2)
    logits, peer, target = torch.randn(6, 3), torch.randn(6, 3), torch.randint(3, (6,))
    features, peer_features = torch.randn(6, 4), torch.randn(6, 5)
    task = nn.functional.cross_entropy(logits, target)
    expected = task + 0.7 * softened_kl(logits, peer, 3.0) + 0.2 * similarity_preserving(features, peer_features)
    student = StudentOutput(logits, features)
    assert loss(student, target, StudentOutput(peer, peer_features)).item() == pytest.approx(expected.item(), rel=1e-6)
    assert loss(student, target).item() == pytest.approx(task.item())


@pytest.mark.parametrize(
    ("term", "feature_weight", "expected"),
    [(SoftenedKL, 0.0, False), (SoftenedKL, 1.0, True), (BatchEnsembled, 0.0, True)],
)
def test_features_are_needed_if_a_term_that_counts_needs_them(term, feature_weight, expected):
    assert SelfDistillationLoss(term=term(), feature_weight=feature_weight).needs_features == expected


def test_weight_ramps_up_and_stays():
    loss = SelfDistillationLoss(weight=2.0, ramp_up_epochs=4)
    assert loss.weight_at(0) == pytest.approx(2 * math.exp(-5))
    assert loss.weight_at(2) == pytest.approx(2 * math.exp(-1.25))
    assert loss.weight_at(4) == loss.weight_at(100) == 2.0
    assert SelfDistillationLoss(weight=2.0).weight_at(0) == 2.0


def test_half_precision_logits_give_a_float32_loss():
    logits, peer = torch.randn(4, 3).bfloat16(), torch.randn(4, 3).bfloat16()
    loss = SelfDistillationLoss()(StudentOutput(logits), torch.randint(3, (4,)), StudentOutput(peer))
    assert loss.dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": -0.1}, "weight must be 0 or greater, got -0.1"),
        ({"weight": math.inf}, "weight"),
        ({"ramp_up_epochs": -1}, "ramp_up_epochs"),
        ({"feature_weight": math.nan}, "feature_weight"),
    ],
)
def test_values_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SelfDistillationLoss(**arguments)


@pytest.mark.parametrize("term", [SoftenedKL, LogitStandard, BatchEnsembled])
@pytest.mark.parametrize("temperature", [-1.0, 0.0, math.nan])
def test_a_temperature_out_of_range_is_named(term, temperature):
    with pytest.raises(ValueError, match=f"temperature must be greater than 0, got {temperature}"):
        term(temperature)


def test_a_term_that_needs_features_says_that_there_are_none():
    student = StudentOutput(torch.randn(2, 3))
    with pytest.raises(ValueError, match="pooled features of both students"):
        SelfDistillationLoss(feature_weight=1.0)(student, torch.tensor([0, 1]), student)
    with pytest.raises(ValueError, match="pooled features of both students"):
        BatchEnsembled()(student, student)


def test_what_is_not_a_term_is_named():
    with pytest.raises(ValueError, match="feature_term must be a DistillationTerm, got KLDivLoss; derive"):
        SelfDistillationLoss(feature_term=nn.KLDivLoss())


def test_a_term_without_a_forward_says_so():
    class Unfinished(DistillationTerm):
        pass

    student = StudentOutput(torch.randn(2, 3))
    with pytest.raises(NotImplementedError, match=r"Unfinished has no forward\(student, peer\)"):
        Unfinished()(student, student)


def test_soft_labels_are_learned_from_all_images_and_labels_from_those_that_have_one():
    logits, soft = torch.randn(5, 3), torch.rand(5, 3).softmax(1)
    target = torch.tensor([0, -100, 2, -100, -100])
    labeled = target >= 0
    objective = SelfDistillationLoss(term=SoftenedKL(2.0), weight=9.0, ramp_up_epochs=4, soft_label_weight=0.7)
    own = sum(-math.log(softmax(logits[row].tolist(), 1.0)[target[row]]) for row in (0, 2)) / 2
    from_others = naive_kl(logits.tolist(), soft.log().tolist(), 2.0)
    for epoch, ramp in ((1, math.exp(-5 * 0.75**2)), (4, 1.0), (9, 1.0)):
        loss = objective.from_soft_labels(StudentOutput(logits), target, labeled, soft, epoch)
        assert loss.item() == pytest.approx(own + 0.7 * ramp * from_others, rel=1e-5)
    alone = objective.from_soft_labels(StudentOutput(logits), target, torch.zeros(5, dtype=torch.bool), soft, 9)
    assert alone.item() == pytest.approx(0.7 * from_others, rel=1e-5), "a batch without any label"


def test_a_soft_label_of_0_has_a_finite_loss():
    soft = torch.tensor([[1.0, 0.0, 0.0]])
    loss = SelfDistillationLoss().from_soft_labels(
        StudentOutput(torch.randn(1, 3)), torch.tensor([0]), torch.tensor([True]), soft
    )
    assert torch.isfinite(loss)
