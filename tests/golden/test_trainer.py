"""Frozen: losses, networks and optimizer state of ``DualStudentTrainer`` after three iterations, in each of its modes.

Networks and batches are tiny and seeded. Kept are two numbers for each part of a network, for what training changed in
its weights and for the optimizer's state: the norm, and the product with a fixed vector.

Where the trainer is redesigned, ``train`` alone must be rewritten. Where it is meant to compute something else:
``pytest tests/golden/test_trainer.py --update-golden``, and read the difference of ``expected/trainer.json``.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from ignite.engine import Events
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from dwskd_monai.training import (
    BatchEnsembled,
    DualStudentTrainer,
    LogitStandard,
    SelfDistillationLoss,
    SoftenedKL,
    create_auxiliary,
)
from tests.conftest import tiny_convnext
from tests.golden.golden import Golden, assert_no_case_is_left_over, rounded

ITERATIONS = 3
TERMS = {"kl": SoftenedKL, "logit_standard": LogitStandard, "bake": BatchEnsembled}
# One epoch of three batches, λ rising in its first half; or three epochs of one batch, for what changes between epochs.
ONE_EPOCH = {"max_epochs": 1, "weight": 2.0, "ramp_up_epochs": 0.5}
THREE_EPOCHS = {"max_epochs": 3, "weight": 2.0, "ramp_up_epochs": 1.5}
CASES: dict[str, dict[str, Any]] = {
    "none": {"auxiliary": "none"},
    **{
        f"{auxiliary}, {views} views": {"auxiliary": auxiliary, "views": views}
        for auxiliary in ("ema", "mutual", "frozen")
        for views in ("same", "two")
    },
    **{
        f"{auxiliary}, {distillation}": {"auxiliary": auxiliary, "distillation": distillation}
        for auxiliary in ("ema", "mutual")
        for distillation in ("logit_standard", "bake")
    },
    "ema, feature_weight": {"auxiliary": "ema", "feature_weight": 10.0},
    "mutual, feature_weight": {"auxiliary": "mutual", "feature_weight": 10.0},
    "mutual, bake, feature_weight, two views": {
        "auxiliary": "mutual",
        "distillation": "bake",
        "feature_weight": 10.0,
        "views": "two",
    },
    "ema, independent_epochs": THREE_EPOCHS | {"auxiliary": "ema", "independent_epochs": 1},
    "mutual, independent_epochs": THREE_EPOCHS | {"auxiliary": "mutual", "independent_epochs": 0.34},
    "mutual, alone, together, fine-tuned": THREE_EPOCHS
    | {"auxiliary": "mutual", "distillation_epochs": 2, "independent_epochs": 0.5, "ramp_up_epochs": 0},
    "ema, fine-tuned": THREE_EPOCHS | {"auxiliary": "ema", "distillation_epochs": 2},
    "ema, clip_grad_norm, accumulation_steps": {"auxiliary": "ema", "clip_grad_norm": 1.0, "accumulation_steps": 2},
    "mutual, clip_grad_norm, accumulation_steps": {
        "auxiliary": "mutual",
        "clip_grad_norm": 1.0,
        "accumulation_steps": 2,
    },
    "ema, promoted after two": {"auxiliary": "ema", "promote_after": 2},
    "mutual, promoted after two": {"auxiliary": "mutual", "promote_after": 2},
    "mutual, AdamW, promoted after three": {"auxiliary": "mutual", "optimizer": "adamw", "promote_after": 3},
    "ema, batch normalization": {"auxiliary": "ema", "network": "with_batch_norm"},
    "mutual, batch normalization": {"auxiliary": "mutual", "network": "with_batch_norm"},
}


@dataclass
class Trained:
    """What a training leaves behind, whatever the trainer is built like; the losses are those of each iteration."""

    losses: list[dict[str, float]]
    main: nn.Module
    auxiliary: nn.Module | None
    optimizer: Optimizer


def train(
    main: nn.Module,
    auxiliary_network: nn.Module | None,
    optimizer: Optimizer,
    images: list[Tensor],
    second_views: list[Tensor],
    labels: list[Tensor],
    weight: float,
    ramp_up_epochs: float,
    auxiliary: str = "mutual",
    distillation: str = "kl",
    feature_weight: float = 0.0,
    promote_after: int | None = None,
    **settings: Any,
) -> Trained:
    """Three iterations, and the students' change of places after one of them: the one place that knows the trainer."""
    trainer = DualStudentTrainer(
        device="cpu",
        train_data_loader=[
            {"image": image, "image_auxiliary": second, "label": label}
            for image, second, label in zip(images, second_views, labels)
        ],
        network=main,
        auxiliary=create_auxiliary(auxiliary, auxiliary_network, momentum=0.8),
        optimizer=optimizer,
        loss_function=SelfDistillationLoss(
            term=TERMS[distillation](temperature=2.0),
            weight=weight,
            ramp_up_epochs=ramp_up_epochs,
            feature_weight=feature_weight,
        ),
        decollate=False,
        **settings,
    )
    losses = []

    def keep(engine: DualStudentTrainer) -> None:
        output = engine.state.output
        losses.append({key: output[key].item() for key in ("loss", "auxiliary_loss") if key in output})
        if engine.state.iteration == promote_after:
            engine.promote_auxiliary()

    trainer.add_event_handler(Events.ITERATION_COMPLETED, keep)
    trainer.run()
    return Trained(losses, trainer.network, trainer.auxiliary_network, trainer.optimizer)


def with_batch_norm() -> nn.Module:
    """With buffers, of which one is a counter: a moving average must treat them too."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


def new_network(kind: str, wide: bool = False) -> nn.Module:
    if kind == "with_batch_norm":
        return with_batch_norm()
    # With the default ls_init_value of 1e-6 nothing that happens in a block would show.
    return tiny_convnext(dims=(16, 32, 48, 64) if wide else (8, 16, 24, 32), ls_init_value=1.0)


def trained_case(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The fingerprint of one training."""
    settings = ONE_EPOCH | dict(settings)
    kind = settings.pop("network", "convnext")
    torch.manual_seed(0)
    main = new_network(kind)
    frozen = settings["auxiliary"] == "frozen"
    auxiliary = None if settings["auxiliary"] == "none" else new_network(kind, wide=frozen)
    parameters = [*main.parameters(), *([] if auxiliary is None or frozen else auxiliary.parameters())]
    # AdamW's usual eps would make large steps of gradients that are 0 up to rounding.
    adamw = settings.pop("optimizer", "sgd") == "adamw"
    optimizer = AdamW(parameters, lr=0.01, eps=0.01) if adamw else SGD(parameters, lr=0.02, momentum=0.9)
    count = ITERATIONS // settings["max_epochs"]
    generator = torch.Generator().manual_seed(1)
    images = [torch.randn(6, 1, 32, 32, generator=generator) for _ in range(count)]
    second_views = [image + 0.5 * torch.randn(image.shape, generator=generator) for image in images]
    labels = [torch.tensor([0, 1, 2, (0, 1, 2)[index], 2, 0]) for index in range(count)]
    before = [copy.deepcopy(main.state_dict()), None if auxiliary is None else copy.deepcopy(auxiliary.state_dict())]
    trained = train(main, auxiliary, optimizer, images, second_views, labels, **settings)
    result: dict[str, Any] = {
        "losses": [{key: rounded(value) for key, value in losses.items()} for losses in trained.losses]
    }
    for role, network, first in zip(("main", "auxiliary"), (trained.main, trained.auxiliary), before):
        if network is not None:
            changes = {name: value - first[name] for name, value in network.state_dict().items()}
            result[role] = {
                "change": fingerprint(changes.items()),
                "optimizer": state_fingerprint(network, trained.optimizer),
            }
    return result


def state_fingerprint(network: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Of what the optimizer keeps for a network's parameters, by the name that it has there."""
    by_name: dict[str, list[tuple[str, Tensor]]] = defaultdict(list)
    for name, parameter in network.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                by_name[key].append((name, torch.as_tensor(value)))
    return {key: fingerprint(tensors) for key, tensors in by_name.items()}


def fingerprint(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, list[float]]:
    """Two numbers for each part of a network: its stem, each of its stages, its classifier.

    A sum in place of the product with a vector would not do: gradients often sum to 0 by construction, and a sum does
    not see where elements change places.
    """
    parts: dict[str, list[Tensor]] = defaultdict(list)
    for name, tensor in tensors:
        first, second = name.split(".")[:2]
        parts[f"{first}.{second}" if first == "stages" else first].append(tensor.detach().double().flatten())
    joined = {part: torch.cat(values) for part, values in parts.items()}
    return {part: [rounded(number) for number in two_numbers(values)] for part, values in joined.items()}


def two_numbers(values: Tensor) -> tuple[float, float]:
    vector = torch.arange(len(values), dtype=torch.float64).cos()
    return values.norm().item(), (values @ vector).item()


@pytest.mark.parametrize("case", CASES)
def test_three_iterations_end_where_they_ended(golden: Golden, case):
    golden.check("trainer", case, trained_case(CASES[case]), rtol=1e-3, atol=1e-5)


def test_each_training_that_is_kept_is_compared():
    assert_no_case_is_left_over("trainer", CASES)
