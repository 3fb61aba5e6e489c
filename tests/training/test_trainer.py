from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from ignite.engine import Events
from monai.data import MetaTensor
from monai.engines.utils import IterationEvents
from torch import Tensor, nn

from dwskd_monai.training.auxiliary import create_auxiliary
from dwskd_monai.training.losses.batch_ensembled import BatchEnsembled
from dwskd_monai.training.losses.objective import SelfDistillationLoss
from dwskd_monai.training.losses.softened_kl import SoftenedKL, softened_kl
from dwskd_monai.training.losses.term import StudentOutput
from dwskd_monai.training.trainer import DualStudentTrainer
from dwskd_monai.training.views import AUXILIARY_VIEW

BATCHES = 4


class Student(nn.Module):
    """A network with a buffer of each kind and a classifier, fast enough for exact comparisons."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 6)
        self.norm = nn.BatchNorm1d(6)
        self.fc = nn.Linear(6, 3)

    def get_classifier(self) -> nn.Module:
        return self.fc

    def forward(self, image: Tensor) -> Tensor:
        assert type(image) is Tensor, "networks get plain tensors"
        return self.fc(self.norm(self.body(image.flatten(1))).relu())


def make_batches(size: int = 8, count: int = BATCHES) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "image": torch.randn(size, 1, 2, 2, generator=generator),
            AUXILIARY_VIEW: torch.randn(size, 1, 2, 2, generator=generator),
            "label": torch.randint(3, (size,), generator=generator),
        }
        for _ in range(count)
    ]


def make_trainer(
    auxiliary: str = "mutual", momentum: float = 0.99, deploy: str = "better", **changes
) -> DualStudentTrainer:
    torch.manual_seed(0)
    main, auxiliary_network = Student(), Student()
    settings = {
        "device": "cpu",
        "max_epochs": 2,
        "train_data_loader": make_batches(),
        "network": main,
        "auxiliary_network": auxiliary_network,
        "optimizer": torch.optim.SGD([*main.parameters(), *auxiliary_network.parameters()], lr=0.1, momentum=0.9),
        "loss_function": SelfDistillationLoss(term=SoftenedKL(2.0), weight=0.5, ramp_up_epochs=1),
        "decollate": False,
    }
    settings |= changes
    network = settings.pop("auxiliary_network")
    return DualStudentTrainer(auxiliary=create_auxiliary(auxiliary, network, momentum, deploy), **settings)


def assert_same(network: nn.Module, expected: nn.Module) -> None:
    expected_state = expected.state_dict()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, expected_state[name], rtol=1e-6, atol=1e-7, msg=name)


def test_none_is_plain_supervised_training():
    trainer = make_trainer(auxiliary="none", auxiliary_network=None)
    network = copy.deepcopy(trainer.network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    trainer.run()
    for batch in make_batches() * 2:
        optimizer.zero_grad()
        F.cross_entropy(network(batch["image"]), batch["label"]).backward()
        optimizer.step()
    assert_same(trainer.network, network)
    assert trainer.state.iteration == 2 * BATCHES


def distillation_weight(step: int, independent_epochs: int) -> float:
    """λ of make_trainer's loss, with 0 for the epochs in which students learn alone."""
    epoch = step / BATCHES - independent_epochs
    return 0.5 * math.exp(-5 * (1 - min(epoch, 1)) ** 2) if epoch >= 0 else 0.0


@pytest.mark.parametrize("independent_epochs", [0, 1])
@pytest.mark.parametrize("views", ["same", "two"])
def test_ema_follows_the_formulas(views, independent_epochs):
    trainer = make_trainer(auxiliary="ema", views=views, momentum=0.8, independent_epochs=independent_epochs)
    main, auxiliary = copy.deepcopy(trainer.network), copy.deepcopy(trainer.auxiliary_network)
    optimizer = torch.optim.SGD(main.parameters(), lr=0.1, momentum=0.9)
    trainer.run()
    for step, batch in enumerate(make_batches() * 2):
        optimizer.zero_grad()
        logits = main(batch["image"])
        with torch.no_grad():
            auxiliary.eval()
            peer = auxiliary(batch["image"] if views == "same" else batch[AUXILIARY_VIEW])
        weight = distillation_weight(step, independent_epochs)
        (F.cross_entropy(logits, batch["label"]) + weight * softened_kl(logits, peer, 2.0)).backward()
        optimizer.step()
        momentum = 1 - (1 - 0.8) * (math.cos(math.pi * (step + 1) / (2 * BATCHES)) + 1) / 2
        with torch.no_grad():
            main_state = main.state_dict()
            for name, value in auxiliary.state_dict().items():
                if value.is_floating_point():
                    value.copy_(momentum * value + (1 - momentum) * main_state[name])
                else:
                    value.copy_(main_state[name])
    assert_same(trainer.network, main)
    assert_same(trainer.auxiliary_network, auxiliary)


@pytest.mark.parametrize("independent_epochs", [0, 1])
def test_mutual_students_have_mirrored_losses_and_their_own_clipped_gradients(independent_epochs):
    trainer = make_trainer(auxiliary="mutual", clip_grad_norm=0.3, independent_epochs=independent_epochs)
    main, auxiliary = copy.deepcopy(trainer.network), copy.deepcopy(trainer.auxiliary_network)
    optimizers = [torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9) for student in (main, auxiliary)]
    trainer.run()
    for step, batch in enumerate(make_batches() * 2):
        weight = distillation_weight(step, independent_epochs)
        logits, peer = main(batch["image"]), auxiliary(batch["image"])
        losses = [
            F.cross_entropy(own, batch["label"]) + weight * softened_kl(own, taught.detach(), 2.0)
            for own, taught in ((logits, peer), (peer, logits))
        ]
        for student, optimizer, loss in zip((main, auxiliary), optimizers, losses):
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(student.parameters(), 0.3)
            optimizer.step()
    assert_same(trainer.network, main)
    assert_same(trainer.auxiliary_network, auxiliary)
    assert trainer.state.output["loss"].item() == pytest.approx(losses[0].item(), rel=1e-5)
    assert trainer.state.output["auxiliary_loss"].item() == pytest.approx(losses[1].item(), rel=1e-5)


@pytest.mark.parametrize("auxiliary", ["ema", "mutual"])
def test_after_distillation_main_is_fine_tuned_alone(auxiliary):
    trainer = make_trainer(auxiliary=auxiliary, max_epochs=3, distillation_epochs=1)
    states = []
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED,
        lambda engine: states.append([copy.deepcopy(s) for s in (engine.network, engine.auxiliary_network)]),
    )
    trainer.run()
    main, auxiliary_network = states[0]
    optimizer = torch.optim.SGD(main.parameters(), lr=0.1, momentum=0.9)
    distilled = make_trainer(auxiliary=auxiliary, max_epochs=1)
    distilled.run()
    momenta = [distilled.optimizer.state[p]["momentum_buffer"] for p in distilled.network.parameters()]
    for parameter, momentum in zip(main.parameters(), momenta):
        optimizer.state[parameter]["momentum_buffer"] = momentum
    for batch in make_batches() * 2:
        optimizer.zero_grad()
        F.cross_entropy(main(batch["image"]), batch["label"]).backward()
        optimizer.step()
    assert_same(trainer.network, main)
    assert_same(trainer.auxiliary_network, auxiliary_network)
    assert "auxiliary_loss" not in trainer.state.output


def test_a_frozen_network_of_another_architecture_teaches_and_does_not_change():
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.Dropout(0.9), nn.Linear(5, 3))
    trainer = make_trainer(auxiliary="frozen", auxiliary_network=teacher)
    before = copy.deepcopy(teacher)
    main = copy.deepcopy(trainer.network)
    optimizer = torch.optim.SGD(main.parameters(), lr=0.1, momentum=0.9)
    trainer.run()
    for step, batch in enumerate(make_batches() * 2):
        optimizer.zero_grad()
        logits = main(batch["image"])
        peer = before.eval()(batch["image"]).detach()
        weight = 0.5 * math.exp(-5 * (1 - min(step / BATCHES, 1)) ** 2)
        (F.cross_entropy(logits, batch["label"]) + weight * softened_kl(logits, peer, 2.0)).backward()
        optimizer.step()
    assert_same(trainer.network, main)
    assert_same(trainer.auxiliary_network, before)


def test_bake_gets_the_features_of_the_student_that_teaches():
    loss = SelfDistillationLoss(term=BatchEnsembled(2.0), weight=1.0)
    trainer = make_trainer(
        loss_function=loss, max_epochs=1, auxiliary="mutual", train_data_loader=make_batches(count=1)
    )
    main, auxiliary = copy.deepcopy(trainer.network), copy.deepcopy(trainer.auxiliary_network)
    trainer.run()
    (batch,) = make_batches(count=1)
    image = batch["image"]
    label = batch["label"]
    pooled = [net.norm(net.body(image.flatten(1))).relu() for net in (main, auxiliary)]
    logits = [net.fc(features) for net, features in zip((main, auxiliary), pooled)]
    term = BatchEnsembled(2.0)(StudentOutput(logits[0]), StudentOutput(logits[1], pooled[1]))
    expected = F.cross_entropy(logits[0], label) + term
    assert trainer.state.output["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_feature_term_compares_what_enters_the_classifiers():
    loss = SelfDistillationLoss(weight=0.0, feature_weight=1.0)
    trainer = make_trainer(
        auxiliary="mutual", loss_function=loss, max_epochs=1, train_data_loader=make_batches(count=1)
    )
    main, auxiliary = copy.deepcopy(trainer.network), copy.deepcopy(trainer.auxiliary_network)
    trainer.run()
    batch = make_batches(count=1)[0]
    outputs = [
        StudentOutput(net(batch["image"]), net.norm(net.body(batch["image"].flatten(1))).relu())
        for net in (main, auxiliary)
    ]
    expected = loss(outputs[0], batch["label"], outputs[1])
    assert trainer.state.output["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert expected.item() > F.cross_entropy(main(batch["image"]), batch["label"]).item()


@pytest.mark.parametrize(("count", "accumulation_steps"), [(4, 2), (5, 2), (3, 8)])
def test_accumulated_batches_are_one_large_batch(count, accumulation_steps):
    def without_norm() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))

    network, expected = without_norm(), without_norm()
    batches = make_batches(count=count)
    make_trainer(
        auxiliary="none",
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        train_data_loader=batches,
        accumulation_steps=accumulation_steps,
        max_epochs=1,
    ).run()
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.1)
    for start in range(0, count, accumulation_steps):
        together = batches[start : start + accumulation_steps]
        images, labels = (torch.cat([batch[key] for batch in together]) for key in ("image", "label"))
        optimizer.zero_grad()
        F.cross_entropy(expected(images), labels).backward()
        optimizer.step()
    assert_same(network, expected)


def test_events_come_in_monais_order_and_the_output_has_monais_keys():
    events: list[str] = []
    trainer = make_trainer(auxiliary="mutual", max_epochs=1, decollate=True)
    for event in IterationEvents:
        trainer.add_event_handler(event, lambda engine, name: events.append(name), event.name)
    trainer.run()
    order = ["FORWARD_COMPLETED", "LOSS_COMPLETED", "BACKWARD_COMPLETED", "MODEL_COMPLETED"]
    assert events == order * BATCHES
    assert isinstance(trainer.state.output, list), "decollated"
    assert {"image", "label", "pred", "loss"} <= set(trainer.state.output[0])
    assert trainer.state.output[0]["pred"].shape == (3,)


def test_metadata_does_not_reach_the_networks():
    batches = make_batches()
    for batch in batches:
        batch["image"], batch[AUXILIARY_VIEW] = MetaTensor(batch["image"]), MetaTensor(batch[AUXILIARY_VIEW])
    make_trainer(auxiliary="ema", views="two", train_data_loader=batches).run()  # Student asserts it


def test_amp_on_the_cpu_is_bfloat16_and_the_weights_stay_float32():
    dtypes = set()
    trainer = make_trainer(auxiliary="ema", amp=True)
    trainer.add_event_handler(
        IterationEvents.FORWARD_COMPLETED, lambda engine: dtypes.add(engine.state.output["pred"].dtype)
    )
    trainer.run()
    assert dtypes == {torch.bfloat16}
    assert {p.dtype for p in trainer.network.parameters()} == {torch.float32}
    assert not trainer.scaler.is_enabled()
    assert make_trainer(amp="auto").amp is False


@pytest.mark.parametrize("auxiliary", ["mutual", "ema"])
def test_promotion_exchanges_weights_and_optimizer_states(auxiliary):
    trainer = make_trainer(auxiliary=auxiliary, max_epochs=1)
    trainer.run()

    def momenta(network):
        states = [trainer.optimizer.state.get(parameter, {}) for parameter in network.parameters()]
        return [state["momentum_buffer"].clone() for state in states if state]

    students = (trainer.network, trainer.auxiliary_network)
    main_before, auxiliary_before = (copy.deepcopy(student) for student in students)
    main_momenta, auxiliary_momenta = (momenta(student) for student in students)
    trainer.promote_auxiliary()
    assert_same(trainer.network, auxiliary_before)
    assert_same(trainer.auxiliary_network, main_before)
    expected = (auxiliary_momenta, main_momenta) if auxiliary == "mutual" else (main_momenta, [])
    for student, expected_momenta in zip(students, expected):
        got = momenta(student)
        assert len(got) == len(expected_momenta)
        assert all(torch.equal(value, expected) for value, expected in zip(got, expected_momenta))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"auxiliary": "foo"},
            "auxiliary must be one of ema, frozen, mutual, none, own_soft_labels, soft_labels, "
            "teacher_soft_labels; got 'foo'",
        ),
        ({"views": "three"}, "views must be one of same, two"),
        ({"deploy": "worse"}, "deploy must be one of better, main, both"),
        (
            {"deploy": "both", "distillation_epochs": 1},
            "two students that learn to the end: .*, or 2; got 1",
        ),
        ({"deploy": "both", "distillation_epochs": 0.0}, r"distillation_epochs 1.0, or 2; got 0.0"),
        ({"amp": "yes"}, "amp must be one of auto, True, False; got 'yes'"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"distillation_epochs": 3}, r"distillation_epochs must be in \[0, 2\]; got 3"),
        ({"distillation_epochs": 1.5}, r"distillation_epochs, as a share, must be in \[0, 1\]; got 1.5"),
        ({"independent_epochs": 2, "distillation_epochs": 1}, r"independent_epochs must be in \[0, 1\]; got 2"),
        ({"independent_epochs": -0.5}, r"independent_epochs, as a share, must be in \[0, 1\]; got -0.5"),
        ({"momentum": 1.5}, r"momentum must be in \[0, 1\]; got 1.5"),
        ({"clip_grad_norm": 0.0}, "clip_grad_norm must be greater than 0, or null"),
        ({"accumulation_steps": 0}, "accumulation_steps"),
        ({"auxiliary_network": None}, "auxiliary='mutual' needs an auxiliary_network"),
        ({"train_data_loader": iter([])}, "no length; give epoch_length"),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        make_trainer(**changes)


def test_auxiliary_takes_part_as_the_schedule_says():
    trainer = make_trainer(max_epochs=4, distillation_epochs=3, independent_epochs=1)
    losses = []
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda engine: losses.append("auxiliary_loss" in engine.state.output)
    )
    trainer.run()
    assert losses == [True, True, True, False]


@pytest.mark.parametrize(
    ("auxiliary", "distillation_epochs", "students"),
    [("mutual", 1, 2), ("ema", 1, 2), ("frozen", 1, 1), ("none", 1, 1), ("mutual", 0, 1)],
)
def test_a_training_knows_how_many_students_it_makes(auxiliary, distillation_epochs, students):
    assert make_trainer(auxiliary=auxiliary, distillation_epochs=distillation_epochs).students == students


def test_a_trainer_without_an_auxiliary_trains_main_alone():
    network = Student()
    trainer = DualStudentTrainer(
        "cpu", 1, make_batches(), network, torch.optim.SGD(network.parameters(), lr=0.1), SelfDistillationLoss()
    )
    trainer.run()
    assert trainer.auxiliary_network is None
    assert "auxiliary_loss" not in trainer.state.output


def test_an_optimizer_without_the_auxiliary_is_refused():
    network = Student()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="does not hold 6 parameters of auxiliary_network, such as body.weight"):
        make_trainer(auxiliary="mutual", network=network, optimizer=optimizer)
    make_trainer(auxiliary="ema", network=network, optimizer=optimizer)


def test_a_missing_view_is_named():
    batches = [{key: batch[key] for key in ("image", "label")} for batch in make_batches()]
    with pytest.raises(KeyError, match="views='two' needs 'image_auxiliary' in the batch"):
        make_trainer(auxiliary="ema", views="two", train_data_loader=batches).run()
