from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from monai.handlers import LrScheduleHandler
from timm.optim import create_optimizer_v2
from torch import nn

from dwskd_monai.training import TrainingStateHandler, WarmupCosine, parameter_groups
from tests.training.test_trainer import Student, make_trainer

HIGHEST, WARMUP, FACTOR = 0.1, 2, 0.1


def expected(epoch: int, length: int) -> float:
    """The formula: from a tenth up to the highest in the epochs of warm-up, then half a cosine down to 0."""
    done = epoch - 1
    if done < WARMUP:
        return HIGHEST * (FACTOR + (1 - FACTOR) * done / WARMUP)
    return HIGHEST * (1 + math.cos(math.pi * (done - WARMUP) / (length - WARMUP))) / 2


def rates_of_a_training(
    path: Path, length: int, resume: bool = False, until: int | None = None, restart: int | None = None
) -> list[float]:
    """The learning rate of each epoch that is trained."""
    network = Student()
    optimizer = torch.optim.SGD(network.parameters(), lr=HIGHEST)
    scheduler = WarmupCosine(optimizer, WARMUP, length, restart, warmup_multiplier=FACTOR)
    trainer = make_trainer(auxiliary="none", network=network, optimizer=optimizer, max_epochs=length)
    LrScheduleHandler(scheduler, print_lr=False).attach(trainer)
    objects = {"network": network, "optimizer": optimizer, "lr_scheduler": scheduler}
    TrainingStateHandler(path, objects, resume=resume).attach(trainer)
    rates: list[float] = []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: rates.append(optimizer.param_groups[0]["lr"]))
    if until is not None:
        trainer.add_event_handler(Events.EPOCH_COMPLETED(once=until), lambda engine: engine.terminate())
    trainer.run()
    return rates


def test_the_learning_rate_follows_the_formula(tmp_path):
    rates = rates_of_a_training(tmp_path / "state.pt", 8)
    assert rates == pytest.approx([expected(epoch, 8) for epoch in range(1, 9)])


def test_a_resumed_training_has_the_learning_rates_of_an_uninterrupted_one(tmp_path):
    whole = rates_of_a_training(tmp_path / "whole.pt", 8)
    first = rates_of_a_training(tmp_path / "state.pt", 8, until=5)
    rest = rates_of_a_training(tmp_path / "state.pt", 8, resume=True)
    assert first + rest == whole, "to the last bit"


@pytest.mark.parametrize("longer", [5, 8, 20])
def test_a_training_that_is_resumed_with_more_epochs_goes_on_as_one_of_that_length(tmp_path, longer):
    rates_of_a_training(tmp_path / "state.pt", 4)
    rest = rates_of_a_training(tmp_path / "state.pt", longer, resume=True)
    assert rest == pytest.approx([expected(epoch, longer) for epoch in range(5, longer + 1)])
    assert rest == sorted(rest, reverse=True), "it never rises again"


def test_it_starts_again_where_main_does(tmp_path):
    whole = rates_of_a_training(tmp_path / "whole.pt", 11, restart=5)
    assert whole == pytest.approx([expected(epoch, 5) for epoch in range(1, 6)] + [expected(e, 6) for e in range(1, 7)])
    first = rates_of_a_training(tmp_path / "state.pt", 11, until=7, restart=5)
    rest = rates_of_a_training(tmp_path / "state.pt", 11, resume=True, restart=5)
    assert first + rest == whole, "to the last bit"


def test_networks_that_learn_alike_have_the_groups_of_timm_and_another_one_has_its_own():
    networks = nn.ModuleList(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for _ in range(2))
    expected = create_optimizer_v2(networks, "adamw", lr=0.01, weight_decay=0.05).param_groups
    alike = made(networks, [None, None])
    assert [shown(group) for group in alike] == [shown(group) for group in expected]
    own = made(networks, [None, 0.004])
    rates = {id(parameter): group["lr"] for group in own for parameter in group["params"]}
    assert [{rates[id(parameter)] for parameter in network.parameters()} for network in networks] == [{0.01}, {0.004}]
    alone = made(networks[:1], [None, 0.004])
    assert {group["lr"] for group in alone} == {0.01}


def test_each_network_follows_the_schedule_from_its_own_rate():
    networks = [nn.Linear(2, 3), nn.Linear(2, 3)]
    optimizer = torch.optim.AdamW(parameter_groups(networks, [None, 0.4]), lr=1.0)
    schedule = WarmupCosine(optimizer, 2, 8, warmup_multiplier=0.1, restart=4)
    for _ in range(8):
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates[2:] == pytest.approx([0.4 * rate for rate in rates[:2]])
        optimizer.step()
        schedule.step()


def made(networks: nn.ModuleList, learning_rates: list[float | None]) -> list[dict]:
    groups = parameter_groups(networks, learning_rates)
    return create_optimizer_v2(groups, "adamw", lr=0.01, weight_decay=0.05).param_groups


def shown(group: dict) -> tuple:
    return group["lr"], group["weight_decay"], [id(parameter) for parameter in group["params"]]
