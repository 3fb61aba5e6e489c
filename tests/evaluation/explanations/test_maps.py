from __future__ import annotations

import pytest
import torch
from torch import nn

from dwskd_monai.ensemble import Ensemble
from dwskd_monai.evaluation.explanations.feature_maps import NoFeatureMapError
from dwskd_monai.evaluation.explanations.maps import grad_cam, occlusion
from dwskd_monai.evaluation.exported import ExportedNetwork
from tests.conftest import tiny_convnext
from tests.evaluation.explanations.toys import SIDE, Looking

LEFT_ABOVE = Looking(slice(4, 12), slice(4, 12))
BRIGHT = torch.ones(1, 1, SIDE, SIDE)


def shares(saliency: torch.Tensor) -> torch.Tensor:
    """The share of each quarter ``(2, 2)``."""
    positive = saliency.clamp_min(0)
    return positive.reshape(2, SIDE // 2, 2, SIDE // 2).sum((1, 3)) / positive.sum()


def test_occlusion_finds_where_the_network_looks():
    saliency = occlusion(LEFT_ABOVE)(BRIGHT, 1)
    assert saliency.shape == (SIDE, SIDE)
    assert shares(saliency)[0, 0] > 0.8
    assert divmod(int(saliency.argmax()), SIDE) == pytest.approx((8, 8), abs=3)


def test_what_speaks_for_one_class_speaks_against_the_other():
    torch.testing.assert_close(occlusion(LEFT_ABOVE)(BRIGHT, 0), -occlusion(LEFT_ABOVE)(BRIGHT, 1))


def test_occlusion_is_the_fall_of_the_probability():
    """A network that looks everywhere alike, at a place in the middle: the oracle is the formula."""
    everywhere = Looking(slice(0, SIDE), slice(0, SIDE))
    centers = (torch.arange(8) + 0.5) * 4 - 0.5
    bumps = torch.exp(-(((torch.arange(SIDE) - centers[:, None]) / 4) ** 2) / 2)
    fades = torch.einsum("ir,jc->ijrc", bumps, bumps).reshape(64, SIDE, SIDE)
    means = 1 - fades.mean((1, 2))
    falls = torch.sigmoid(torch.tensor(8.0)) - torch.sigmoid(8 * means)
    expected = (falls[:, None, None] * fades).sum(0) / fades.sum(0)
    torch.testing.assert_close(occlusion(everywhere)(BRIGHT, 1), expected, atol=1e-5, rtol=1e-3)


def test_grad_cam_finds_where_the_network_looks_and_leaves_it_as_it_was():
    network = Looking(slice(4, 12), slice(4, 12)).train().requires_grad_(False)
    image = torch.zeros(1, 1, SIDE, SIDE)
    image[..., 4:12, 4:12] = 1
    saliency = grad_cam(network, image)(image, 1)
    assert shares(saliency)[0, 0] > 0.99
    assert saliency.max() == 1
    assert network.training
    assert not network.features._forward_hooks
    assert not network.features._backward_hooks
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in network.parameters())


def test_both_students_have_the_mean_of_their_maps():
    other = Looking(slice(20, 28), slice(20, 28))
    image = torch.rand(1, 1, SIDE, SIDE)
    maps = [grad_cam(network, image)(image, 1) for network in (LEFT_ABOVE, other)]
    both = Ensemble(LEFT_ABOVE, other)
    torch.testing.assert_close(grad_cam(both, image)(image, 1), (maps[0] + maps[1]) / 2)
    assert shares(occlusion(both)(BRIGHT, 1)).diagonal().tolist() == pytest.approx([0.5, 0.5], abs=0.1)


@pytest.mark.slow
def test_an_exported_network_has_no_gradients(tmp_path):
    several = BRIGHT.repeat(2, 1, 1, 1)
    program = torch.export.export(tiny_convnext().eval(), (several,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    torch.export.save(program, tmp_path / "model.pt2")
    network = ExportedNetwork(tmp_path / "model.pt2")
    with pytest.raises(NoFeatureMapError, match="not available for an exported network"):
        grad_cam(network, BRIGHT)
    assert occlusion(network)(BRIGHT, 1).shape == (SIDE, SIDE)


def test_a_network_of_the_users_own_has_occlusion_only():
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 2))
    assert occlusion(network)(BRIGHT, 1).shape == (SIDE, SIDE)
    with pytest.raises(NoFeatureMapError, match="not one of timm"):
        grad_cam(network, BRIGHT)
