import sys
from pathlib import Path

import pytest
import timm
import torch
from timm.layers import Conv2dSame
from torch import nn

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import side_by_side_recovery
from narrow_efficientnet import create_model
from side_by_side_recovery import _refitted_layer, refitted
from side_by_side_training import _channels

from dwskd_monai.training import initialize_students


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(6, 4, 1, bias=False),
        lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False),
        lambda: nn.Conv2d(6, 4, 5, padding=2, stride=2, bias=False),
        lambda: Conv2dSame(6, 6, 3, stride=2, groups=6, bias=False),
    ],
    ids=["1x1", "depthwise", "stride", "same"],
)
def test_a_convolution_that_can_give_what_is_wanted_gets_its_weights(make, monkeypatch):
    monkeypatch.setattr(side_by_side_recovery, "RIDGE", 1e-9)
    torch.manual_seed(0)
    convolution, other = make().double(), make().double()
    images = torch.randn(40, 6, 12, 12, dtype=torch.double)
    with torch.no_grad():
        made = _refitted_layer(convolution, nn.Identity(), images, other(images))
        torch.testing.assert_close(convolution.weight, other.weight, atol=1e-5, rtol=0)
        torch.testing.assert_close(made, other(images), atol=1e-4, rtol=0)


def test_weights_that_images_say_nothing_about_stay():
    convolution = nn.Conv2d(3, 2, 1, bias=False)
    before = convolution.weight.detach().clone()
    images = torch.randn(8, 3, 4, 4) * torch.tensor([1.0, 1.0, 0.0])[:, None, None]
    with torch.no_grad():
        _refitted_layer(convolution, nn.Identity(), images, torch.zeros(8, 2, 4, 4))
    assert torch.equal(convolution.weight[:, 2], before[:, 2])
    assert convolution.weight[:, :2].abs().max() < 0.1 * before[:, :2].abs().max()


def test_a_student_comes_nearer_to_the_teachers_features():
    torch.manual_seed(0)
    teacher = timm.create_model("tf_efficientnet_lite2", in_chans=1, num_classes=0).eval()
    student = create_model("tf_efficientnet_lite0_050", in_chans=1, num_classes=3)
    channels = _channels(initialize_students(student, None, teacher))
    images = torch.randn(48, 1, 64, 64)
    with torch.no_grad():
        wanted = teacher.forward_features(images)[:, channels["conv_head"]]
        errors = [
            (network.eval().forward_features(images) - wanted).square().mean()
            for network in (student, refitted(student, teacher, channels, images))
        ]
    assert errors[1] < 0.5 * errors[0]
