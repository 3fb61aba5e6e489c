from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from dwskd_monai.evaluation.explanations.feature_maps import NoFeatureMapError, spatial_layer
from dwskd_monai.evaluation.explanations.maps import grad_cam
from tests.conftest import tiny_convnext, tiny_vit
from tests.networks import TINY_FIXED

CONVOLUTIONAL = ["resnet10t", "mobilenetv3_small_050", "tf_efficientnet_lite0", "densenet121", "regnetx_002"]


def check_map(network: nn.Module, side: int) -> None:
    """Features are arranged as a map, and each of its places has a gradient."""
    image = torch.randn(1, 1, side, side)
    layer = spatial_layer(network.eval(), image)
    caught = []
    hook = network.get_submodule(layer.name).register_forward_hook(lambda *call: caught.append(call[2]))
    logits = network(image)
    hook.remove()
    (gradient,) = torch.autograd.grad(logits[0, 1], caught)
    features, gradient = layer.arrange(caught[0]), layer.arrange(gradient)
    assert features.shape == gradient.shape
    assert features.shape[1] == network.feature_info[-1]["num_chs"]
    assert features.shape[2] == features.shape[3] > 1
    assert (gradient.abs().sum(1) > 0).all()
    saliency = grad_cam(network, image)(image, 1)
    assert saliency.shape == (side, side)
    assert 0 <= saliency.min() <= saliency.max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_convolutional_network_has_a_map(name):
    check_map(timm.create_model(name, in_chans=1, num_classes=3), 96)


@pytest.mark.parametrize("name", TINY_FIXED)
def test_a_transformer_has_a_map(name):
    network = timm.create_model(name, in_chans=1, num_classes=3, **TINY_FIXED[name])
    check_map(network, network.default_cfg["input_size"][-1])


def test_students_of_the_other_tests_have_maps():
    check_map(tiny_convnext(), 64)
    check_map(tiny_vit(), 32)


@pytest.mark.parametrize("prefix", [1, 2])
def test_tokens_lie_in_rows_after_those_of_the_classes(prefix):
    name = {1: "vit_tiny_patch16_224", 2: "deit_tiny_distilled_patch16_224"}[prefix]
    network = timm.create_model(name, img_size=32, patch_size=8, in_chans=1, embed_dim=16, num_heads=2, depth=2)
    layer = spatial_layer(network, torch.zeros(1, 1, 32, 32))
    assert layer.name == "blocks.1.norm1", "after the last attention, patches have no gradient from the class token"
    tokens = torch.cat([torch.full((prefix,), -1.0), torch.arange(16.0)])[None, :, None].expand(1, -1, 16)
    expected = torch.arange(16.0).reshape(4, 4).expand(1, 16, 4, 4)
    assert torch.equal(layer.arrange(tokens), expected)


def test_a_network_of_the_users_own_is_not_known():
    with pytest.raises(NoFeatureMapError, match="not one of timm"):
        spatial_layer(nn.Flatten(), torch.zeros(1, 1, 8, 8))


def test_a_layer_without_places_is_named():
    network = tiny_convnext()
    network.feature_info = [{"module": "head.fc", "num_chs": 3}]
    with pytest.raises(NoFeatureMapError, match=r"the output of head\.fc, the last layer of ConvNeXt, has no places"):
        spatial_layer(network, torch.zeros(1, 1, 32, 32))


class Tokens(nn.Module):
    """Patches of 8 × 8 pixels, ``(B, N, 4)``."""

    def forward(self, images):
        return nn.functional.unfold(images, 8, stride=8).transpose(1, 2)[..., :4]


def test_tokens_that_do_not_lie_in_a_square_are_named():
    network = nn.Sequential(Tokens())
    network.feature_info = [{"module": "0", "num_chs": 4}]
    with pytest.raises(NoFeatureMapError, match="the 12 tokens of Sequential do not lie in a square"):
        spatial_layer(network, torch.zeros(1, 1, 24, 32))
