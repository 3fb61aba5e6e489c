"""Several networks as one: the mean of their probabilities."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dwskd_monai.ensemble import Ensemble


def make_network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_its_probabilities_are_the_mean_of_those_of_the_networks(count):
    networks = [make_network() for _ in range(count)]
    image = torch.randn(6, 1, 2, 2)
    expected = sum(network(image).softmax(1) for network in networks) / count
    torch.testing.assert_close(Ensemble(*networks)(image).softmax(1), expected)


def test_networks_that_are_certain_and_disagree_have_finite_logits():
    certain = [nn.Linear(1, 2, bias=False) for _ in range(2)]
    for network, logit in zip(certain, (200.0, -200.0), strict=True):
        nn.init.constant_(network.weight, 0.0)
        nn.init.constant_(network.weight[0], logit)
    logits = Ensemble(*certain)(torch.ones(1, 1))
    assert logits.isfinite().all()
    torch.testing.assert_close(logits.softmax(1), torch.tensor([[0.5, 0.5]]))


def test_it_is_scripted_and_its_weights_are_those_of_the_networks():
    networks = [make_network(), make_network()]
    both = Ensemble(*networks)
    image = torch.randn(6, 1, 2, 2)
    torch.testing.assert_close(torch.jit.script(both)(image), both(image))
    for index, network in enumerate(networks):
        for name, value in network.state_dict().items():
            assert torch.equal(both.state_dict()[f"networks.{index}.{name}"], value)
