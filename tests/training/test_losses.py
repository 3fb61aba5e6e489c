from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dwskd_monai.training.losses import (
    SelfDistillationLoss,
    batch_ensembled_kl,
    ensembled_targets,
    logit_standard,
    similarity_preserving,
    softened_kl,
)


def naive_kl(logits: list[list[float]], peer: list[list[float]], temperature: float) -> float:
    """T² · Σ p log(p / q) / B from the formula, with plain floats."""
    total = 0.0
    for ours, theirs in zip(logits, peer):
        q = [math.exp(z / temperature) for z in ours]
        p = [math.exp(z / temperature) for z in theirs]
        q, p = [v / sum(q) for v in q], [v / sum(p) for v in p]
        total += sum(a * math.log(a / b) for a, b in zip(p, q))
    return temperature**2 * total / len(logits)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_softened_kl_is_the_formula(temperature):
    logits, peer = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    expected = naive_kl(logits.tolist(), peer.tolist(), temperature)
    assert softened_kl(logits, peer, temperature).item() == pytest.approx(expected, rel=1e-9)


def test_softened_kl_teaches_one_side_only():
    logits, peer = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    softened_kl(logits, peer, 2.0).backward()
    assert logits.grad is not None
    assert peer.grad is None


def test_logit_standard_is_the_kl_of_standardised_logits():
    logits, peer = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)

    def standardise(row: list[float]) -> list[float]:
        mean = sum(row) / len(row)
        deviation = math.sqrt(sum((z - mean) ** 2 for z in row) / len(row))
        return [(z - mean) / deviation for z in row]

    expected = naive_kl([standardise(row) for row in logits.tolist()], [standardise(row) for row in peer.tolist()], 2.0)
    assert logit_standard(logits, peer, 2.0).item() == pytest.approx(expected, rel=1e-4)


def test_logit_standard_does_not_see_shift_and_scale():
    logits = torch.randn(5, 3, dtype=torch.float64)
    assert logit_standard(logits, 7 * logits - 2, 2.0).item() == pytest.approx(0, abs=1e-6)
    assert softened_kl(logits, 7 * logits - 2, 2.0).item() > 0.1


def test_logits_that_are_all_equal_are_no_nan():
    logits = torch.zeros(2, 3, requires_grad=True)
    logit_standard(logits, torch.randn(2, 3)).backward()
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
    expected, term = torch.zeros_like(probabilities), probabilities
    for power in range(200):
        expected = expected + 0.5 * 0.5**power * term
        term = affinity @ term
    found = ensembled_targets(probabilities, features, propagation=0.5)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(1), torch.ones(4, dtype=torch.float64))


def test_bake_without_propagation_is_the_softened_kl():
    logits, peer, features = torch.randn(4, 3), torch.randn(4, 3), torch.randn(4, 6)
    found = batch_ensembled_kl(logits, peer, features, 2.0, propagation=0.0)
    assert found.item() == pytest.approx(softened_kl(logits, peer, 2.0).item(), rel=1e-5)


def test_bake_teaches_one_side_only_and_needs_two_samples():
    logits, peer, features = (torch.randn(4, 3, requires_grad=True) for _ in range(3))
    batch_ensembled_kl(logits, peer, features, 2.0).backward()
    assert logits.grad is not None
    assert peer.grad is None
    assert features.grad is None
    with pytest.raises(ValueError, match="bake needs a batch of at least 2 samples"):
        batch_ensembled_kl(logits[:1], peer[:1], features[:1])


@pytest.mark.parametrize(("name", "term"), [("kl", softened_kl), ("logit_standard", logit_standard)])
def test_the_term_is_chosen_by_its_name(name, term):
    logits, peer, target = torch.randn(6, 3), torch.randn(6, 3), torch.randint(3, (6,))
    loss = SelfDistillationLoss(distillation=name, temperature=3.0, weight=0.7)
    expected = nn.functional.cross_entropy(logits, target) + 0.7 * term(logits, peer, 3.0)
    assert loss(logits, target, peer).item() == pytest.approx(expected.item(), rel=1e-6)


def test_similarity_is_the_formula():
    ours, theirs = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    expected = 0.0
    for i in range(4):
        rows = [[float(h[i] @ h[j]) for j in range(4)] for h in (ours, theirs)]
        rows = [[value / math.sqrt(sum(v * v for v in row)) for value in row] for row in rows]
        expected += sum((a - b) ** 2 for a, b in zip(*rows)) / 16
    assert similarity_preserving(ours, theirs).item() == pytest.approx(expected, rel=1e-9)


def test_similarity_does_not_depend_on_the_order_of_neurons():
    features = torch.randn(8, 5)
    assert similarity_preserving(features, features[:, torch.randperm(5)]).item() == pytest.approx(0, abs=1e-10)


def test_similarity_of_one_sample_is_refused():
    with pytest.raises(ValueError, match="at least 2 samples"):
        similarity_preserving(torch.randn(1, 5), torch.randn(1, 5))


def test_objective_is_the_sum_of_its_terms():
    loss = SelfDistillationLoss(temperature=3.0, weight=0.7, feature_weight=0.2)
    logits, peer, target = torch.randn(6, 3), torch.randn(6, 3), torch.randint(3, (6,))
    ours, theirs = torch.randn(6, 4), torch.randn(6, 5)
    expected = (
        nn.functional.cross_entropy(logits, target)
        + 0.7 * softened_kl(logits, peer, 3.0)
        + 0.2 * similarity_preserving(ours, theirs)
    )
    assert loss(logits, target, peer, ours, theirs).item() == pytest.approx(expected.item(), rel=1e-6)
    assert loss(logits, target).item() == pytest.approx(nn.functional.cross_entropy(logits, target).item())


def test_weight_ramps_up_and_stays():
    loss = SelfDistillationLoss(weight=2.0, ramp_up_epochs=4)
    assert loss.weight_at(0) == pytest.approx(2 * math.exp(-5))
    assert loss.weight_at(2) == pytest.approx(2 * math.exp(-1.25))
    assert loss.weight_at(4) == loss.weight_at(100) == 2.0
    assert SelfDistillationLoss(weight=2.0).weight_at(0) == 2.0


def test_half_precision_logits_give_a_float32_loss():
    logits, peer = torch.randn(4, 3).bfloat16(), torch.randn(4, 3).bfloat16()
    assert SelfDistillationLoss()(logits, torch.randint(3, (4,)), peer).dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": -1.0}, "temperature must be greater than 0, got -1.0"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"weight": -0.1}, "weight must be 0 or greater, got -0.1"),
        ({"weight": math.inf}, "weight"),
        ({"ramp_up_epochs": -1}, "ramp_up_epochs"),
        ({"feature_weight": math.nan}, "feature_weight"),
    ],
)
def test_values_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SelfDistillationLoss(**arguments)


def test_feature_term_needs_features():
    with pytest.raises(ValueError, match="pooled features of both students"):
        SelfDistillationLoss(feature_weight=1.0)(torch.randn(2, 3), torch.tensor([0, 1]), torch.randn(2, 3))
