import math
import sys
from pathlib import Path

import pytest
import timm
import torch

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from grouped import Grouped
from narrow_efficientnet import create_model
from side_by_side import TRAININGS, measured, trained
from side_by_side_images import Pair
from side_by_side_rivals import MovingAverage, fixmatch_loss, strengthened, truncated, view_loss
from side_by_side_training import SideBySide, _weight

SIDE = 32


def test_a_class_that_the_weak_view_is_sure_of_is_wanted_of_the_strong_one():
    weak = torch.tensor([[[0.0, 5.0], [0.0, 1.0]]])  # 0.993 and 0.73
    strong = torch.tensor([[[math.log(3), 0.0], [9.0, 0.0]]])
    torch.testing.assert_close(fixmatch_loss(weak, strong), torch.tensor([math.log(4) / 2]))


def test_a_strong_view_hides_a_rectangle_and_mirrors_nothing():
    ramp = torch.linspace(-1, 1, SIDE).expand(8, 1, SIDE, SIDE)
    views = strengthened(ramp.clone(), torch.Generator().manual_seed(0))
    hidden = (views == 0).flatten(1).float().mean(1)
    assert ((hidden > 0.15**2) & (hidden < 0.45**2)).all()
    shown = views.masked_fill(views == 0, math.nan)
    assert (shown[..., SIDE // 2 :].nanmean((1, 2, 3)) > shown[..., : SIDE // 2].nanmean((1, 2, 3)) + 0.5).all()


def test_two_equal_views_have_no_loss_and_opposite_ones_the_greatest():
    features = torch.randn(2, 3, 4)
    same = torch.eye(4).repeat(2, 1, 1)
    torch.testing.assert_close(view_loss(features, same, features), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(view_loss(features, same, -features), torch.full((2,), 4.0))


def test_the_moving_average_follows_slowly():
    network = timm.create_model("tf_efficientnet_lite0", in_chans=1, num_classes=2)
    grouped = Grouped(network, [network.state_dict()] * 2, torch.device("cpu"))
    average = MovingAverage(grouped)
    before = average.networks.parameters["classifier.bias"].detach().clone()
    with torch.no_grad():
        grouped.parameters["classifier.bias"] += 1
    average.follow(grouped)
    torch.testing.assert_close(average.networks.parameters["classifier.bias"], before + 0.01)


def test_truncated_weights_are_the_low_frequencies_of_the_teachers():
    student = create_model("tf_efficientnet_lite0_050", in_chans=1, num_classes=3)
    teacher = timm.create_model("tf_efficientnet_lite2", in_chans=1, num_classes=0)
    with torch.no_grad():
        teacher.bn1.weight.fill_(0.7)  # of the lowest frequency alone
        channel = torch.arange(len(teacher.bn1.bias)) + 0.5
        teacher.bn1.bias.copy_(torch.cos(math.pi * channel / len(channel)))
    made = truncated(student, teacher)
    torch.testing.assert_close(made.bn1.weight.detach(), torch.full_like(made.bn1.weight, 0.7))
    place = torch.arange(len(made.bn1.bias)) + 0.5
    torch.testing.assert_close(made.bn1.bias.detach(), torch.cos(math.pi * place / len(place)), atol=1e-5, rtol=0)
    assert torch.equal(made.classifier.weight, student.classifier.weight)
    name = "blocks.4.1.conv_pw.weight"
    assert made.state_dict()[name].std().item() == pytest.approx(teacher.state_dict()[name].std().item(), rel=0.05)


def test_the_weight_of_soft_labels_falls_in_the_last_fifth_if_it_should():
    assert [round(_weight(TRAININGS["falling_weight"], at), 3) for at in (0.5, 0.8, 0.9, 0.99)] == [1.0, 1.0, 0.5, 0.05]
    assert _weight(TRAININGS["soft_labels"], 0.99) == 1.0


@pytest.mark.slow
def test_weights_are_selected_from_the_large_network_that_is_given(tmp_path):
    pair = Pair("set", 0, 0, 2, [0], [0], [1], [1], [2], [0], [3], [1])
    torch.save(timm.create_model("tf_efficientnet_lite2", in_chans=3).state_dict(), tmp_path / "teacher.pt")
    trainer = SideBySide(torch.zeros(4, SIDE, SIDE, dtype=torch.uint8), [pair], str(tmp_path / "teacher.pt"))
    first = trainer.first_weights(pair, "main", seed=1)
    large = trainer.starts["teacher"].state_dict()
    same = trainer.selected_weights(first, large)
    assert all(torch.equal(same[name], first[name]) for name in first)
    moved = trainer.selected_weights(first, {name: value + 1 for name, value in large.items()})
    classifier = {name for name in first if name.startswith("classifier.")}
    assert all(torch.equal(moved[name], first[name] + 1 * (name not in classifier)) for name in first)


@pytest.mark.slow
def test_each_training_is_made_and_measured(tmp_path):
    torch.manual_seed(0)
    images = torch.randint(0, 256, (40, SIDE, SIDE), dtype=torch.uint8)
    splits = {"labeled": range(8), "unlabeled": range(8, 20), "validation": range(20, 28), "test": range(28, 40)}
    rows = {name: list(places) for name, places in splits.items()}
    labels = {name: [place % 2 for place in rows[name]] for name in rows}
    pair = Pair(
        "set", 0, 0, 2, rows["labeled"], labels["labeled"], rows["unlabeled"], labels["unlabeled"],
        rows["validation"], labels["validation"], rows["test"], labels["test"],
    )  # fmt: skip
    teacher = tmp_path / "teacher.pt"
    torch.save(timm.create_model("tf_efficientnet_lite2", in_chans=3).state_dict(), teacher)
    trainer = SideBySide(images, [pair], str(teacher))
    for name in TRAININGS:
        torch.save(trained(trainer, name, 2, tmp_path), tmp_path / f"{name}.pt")
    table = measured([pair], tmp_path, 2)
    assert {row["method"] for row in table} >= set(TRAININGS)
    assert all(0 <= row["test_balanced_accuracy"] <= 1 for row in table)
    predictions = {name: torch.load(tmp_path / f"{name}.pt")["predictions"][0] for name in TRAININGS}
    assert all(torch.isfinite(each).all() for each in predictions.values())
    assert len({tuple(each.flatten().tolist()) for each in predictions.values()}) == len(TRAININGS)
