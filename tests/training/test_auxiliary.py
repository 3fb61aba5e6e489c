from __future__ import annotations

import copy
import math

import pytest
import torch
from monai.inferers import SimpleInferer
from torch import nn

from dwskd_monai.training.auxiliary import (
    Auxiliary,
    FrozenPeer,
    MovingAverage,
    MutualPeer,
    NoAuxiliary,
    chosen_auxiliary,
    create_auxiliary,
)
from dwskd_monai.training.schedule import Phase

INDEPENDENT, DISTILLING, FINE_TUNING = Phase


def make_student() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))


@pytest.mark.parametrize(
    ("kind", "expected", "is_student", "is_trained", "phases"),
    [
        ("mutual", MutualPeer, True, True, {INDEPENDENT, DISTILLING}),
        ("ema", MovingAverage, True, False, {DISTILLING}),
        ("frozen", FrozenPeer, False, False, {DISTILLING}),
        ("none", NoAuxiliary, False, False, set()),
    ],
)
def test_a_word_names_an_auxiliary(kind, expected, is_student, is_trained, phases):
    network = make_student()
    auxiliary = create_auxiliary(kind, network)
    assert type(auxiliary) is expected
    assert auxiliary.network is (None if kind == "none" else network)
    assert (auxiliary.is_student, auxiliary.is_trained) == (is_student, is_trained)
    assert {phase for phase in Phase if auxiliary.takes_part(phase)} == phases


@pytest.mark.parametrize("deploy", ["better", "main", "both"])
@pytest.mark.parametrize("kind", ["mutual", "ema", "frozen", "none"])
def test_a_student_competes_only_if_the_better_one_is_deployed(kind, deploy):
    if deploy == "both" and kind in ("frozen", "none"):
        message = f"both needs two students, auxiliary: mutual or ema, but auxiliary is {kind}; leave deploy out"
        with pytest.raises(ValueError, match=message):
            create_auxiliary(kind, make_student(), deploy=deploy)
        return
    competes = kind in ("mutual", "ema") and deploy == "better"
    assert create_auxiliary(kind, make_student(), deploy=deploy).competes == competes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"kind": "foo"},
            "auxiliary must be one of ema, frozen, mutual, none, own_soft_labels, soft_labels, "
            "teacher_soft_labels; got 'foo'",
        ),
        ({"kind": "mutual", "deploy": "worse"}, "deploy must be one of better, main, both; got 'worse'"),
        ({"kind": "mutual", "momentum": 1.5}, r"momentum must be in \[0, 1\]; got 1.5"),
        ({"kind": "ema", "network": None}, "auxiliary='ema' needs an auxiliary_network"),
    ],
)
def test_what_is_wrong_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_auxiliary(**({"network": make_student()} | arguments))


@pytest.mark.parametrize("kind", ["mutual", "ema"])
def test_what_is_deployed_follows_the_students(kind):
    main, network = make_student().eval(), make_student().eval()
    assert create_auxiliary(kind, network).deployed(main) is main
    both = create_auxiliary(kind, network, deploy="both").deployed(main)
    images = torch.randn(6, 1, 2, 2)
    for student in (main, network):
        nn.init.normal_(student[4].weight)  # as a step of the optimizer would
        expected = (main(images).softmax(1) + network(images).softmax(1)) / 2
        torch.testing.assert_close(both(images).softmax(1), expected)


def test_momentum_out_of_range_is_named_without_the_factory_too():
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\]; got -0.1"):
        MovingAverage(make_student(), momentum=-0.1)


@pytest.mark.parametrize("auxiliary", [MovingAverage(make_student()), FrozenPeer(make_student())])
def test_what_is_not_trained_teaches_without_dropout_and_without_a_gradient(auxiliary):
    images = torch.randn(6, 1, 2, 2)
    before = copy.deepcopy(auxiliary.network.state_dict())
    logits = auxiliary.logits(images, SimpleInferer())
    assert not logits.requires_grad
    assert torch.equal(logits, copy.deepcopy(auxiliary.network).eval()(images))
    assert all(torch.equal(value, before[name]) for name, value in auxiliary.network.state_dict().items())
    assert auxiliary.loss(lambda: torch.ones(())) is None


def test_a_mutual_peer_has_dropout_a_gradient_and_a_loss():
    auxiliary = MutualPeer(make_student())
    logits = auxiliary.logits(torch.randn(6, 1, 2, 2), SimpleInferer())
    assert logits.requires_grad
    assert auxiliary.network.training
    assert auxiliary.loss(lambda: torch.ones(())) == 1


@pytest.mark.parametrize(("progress", "momentum"), [(0.0, 0.8), (0.5, 0.9), (1.0, 1.0)])
def test_a_moving_average_follows_main_less_and_less(progress, momentum):
    main, network = make_student(), make_student()
    main[2].num_batches_tracked.fill_(7)
    before = copy.deepcopy(network.state_dict())
    MovingAverage(network, momentum=0.8).after_step(main, progress)
    main_state = main.state_dict()
    for name, value in network.state_dict().items():
        expected = main_state[name]
        if value.is_floating_point():
            expected = momentum * before[name] + (1 - momentum) * expected
        torch.testing.assert_close(value, expected, msg=name)
    assert momentum == pytest.approx(1 - 0.2 * (math.cos(math.pi * progress) + 1) / 2)


@pytest.mark.parametrize("auxiliary", [FrozenPeer(make_student()), NoAuxiliary()])
def test_what_is_no_student_is_never_promoted(auxiliary):
    main = make_student()
    with pytest.raises(NotImplementedError, match="is not deployed in main's place"):
        auxiliary.promote(main, torch.optim.SGD(main.parameters(), lr=0.1))


def test_an_auxiliary_of_ones_own_needs_what_differs_alone():
    class Late(Auxiliary):
        def takes_part(self, phase: Phase) -> bool:
            return phase is FINE_TUNING

    late = Late(make_student())
    late.after_step(make_student(), progress=0.5)
    assert late.logits(torch.randn(2, 1, 2, 2), SimpleInferer()).shape == (2, 3)


def test_auto_labels_images_if_there_are_unlabeled_ones_and_else_is_mutual():
    assert chosen_auxiliary("auto", None) == "mutual"
    assert chosen_auxiliary("auto", None, "teacher_soft_labels") == "mutual"
    assert chosen_auxiliary("auto", "images", "teacher_soft_labels") == "teacher_soft_labels"
    assert chosen_auxiliary("auto", "images") == "soft_labels", "as bundles from before the teacher labeled images"
    assert chosen_auxiliary("own_soft_labels", "images") == "own_soft_labels"
    for kind in ("mutual", "none", "ema", "frozen"):
        assert chosen_auxiliary(kind, None) == kind
        with pytest.raises(
            ValueError, match=f"nothing is learned from its images with auxiliary: {kind}; leave it out"
        ):
            chosen_auxiliary(kind, "images")
    with pytest.raises(ValueError, match="auxiliary must be one of auto, ema, .*; got 'foo'"):
        chosen_auxiliary("foo", None)


def test_a_training_without_a_second_network_learns_nothing_from_unlabeled_images():
    assert chosen_auxiliary("none", None, labeling=None) == "none"
    for kind in ("none", "auto", "teacher_soft_labels"):
        with pytest.raises(ValueError, match="unlabeled_dir: this training learns from labels alone; leave it out"):
            chosen_auxiliary(kind, "images", labeling=None)
