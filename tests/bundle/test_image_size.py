"""Which image sizes a network that is made for one takes; the real network, on real images, is the oracle."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.image_size import check_image_size
from dwskd_monai.training import fixed_size
from tests.conftest import BUNDLE
from tests.networks import TINY_FIXED

SIZES = (64, 70, 84, 96)
# Of SIZES, a family takes the multiples of its step. (A MaxViT below 64 has windows of one position, and takes more.)
STEPS = {
    "vit_tiny_patch16_224": 16,
    "deit_tiny_distilled_patch16_224": 16,
    "deit3_small_patch16_224": 16,
    "beit_base_patch16_224": 16,
    "eva02_tiny_patch14_224": 14,
    "swin_tiny_patch4_window7_224": 4,
    "swinv2_tiny_window8_256": 4,
    "maxvit_tiny_tf_224": 32,
    "coatnet_0_rw_224": 32,
}
each_family = pytest.mark.parametrize("name", STEPS)


def check(name: str, image_size: int, **arguments: Any) -> None:
    given = {f"network_def#{key}": value for key, value in arguments.items()}
    check_image_size(Bundle(BUNDLE, {"student": name, "image_size": image_size, **given}).config("train"))


def sees_all(name: str, image_size: int) -> bool:
    """Whether a network can be made for images of a size, and its features depend on their last row and column."""
    image = torch.randn(1, 1, image_size, image_size, requires_grad=True)
    try:
        network = timm.create_model(name, in_chans=1, img_size=fixed_size(name, image_size), **TINY_FIXED[name])
        network.eval().forward_features(image).square().sum().backward()
    except (AssertionError, RuntimeError):
        return False
    return bool(image.grad[..., -1, :].any() and image.grad[..., -1].any())


def test_the_table_has_each_tiny_network():
    assert set(STEPS) == set(TINY_FIXED)


@pytest.mark.slow
@each_family
def test_sizes_that_a_network_sees_all_of_are_accepted_and_others_refused(name):
    for size in SIZES:
        assert sees_all(name, size) == (size % STEPS[name] == 0), size
        if size % STEPS[name] == 0:
            check(name, size, **TINY_FIXED[name])
        else:
            with pytest.raises(ValueError, match=f"image_size: {name} needs a multiple of {STEPS[name]}, got {size}"):
                check(name, size, **TINY_FIXED[name])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "nearest"),
    [
        ("vit_tiny_patch16_224", 100, "are 96 and 112"),
        ("vit_tiny_patch16_224", 8, "is 16"),
        ("eva02_tiny_patch14_224", 100, "are 98 and 112"),
        ("swin_tiny_patch4_window7_224", 98, "are 96 and 100"),
        ("maxvit_tiny_tf_224", 100, "are 96 and 128"),
    ],
)
def test_the_message_names_the_nearest_sizes(name, size, nearest):
    with pytest.raises(ValueError, match=f"got {size}; the nearest {nearest}$"):
        check(name, size, **TINY_FIXED[name])


@pytest.mark.slow
def test_arguments_of_the_network_count():
    check("vit_tiny_patch16_224", 40, patch_size=8)
    with pytest.raises(ValueError, match="needs a multiple of 32, got 48; the nearest are 32 and 64"):
        check("vit_tiny_patch16_224", 48, patch_size=32)
    check(
        "vit_tiny_patch16_224", 100, dynamic_img_pad=True, dynamic_img_size=True
    )  # what is missing of a patch is padded


@pytest.mark.slow
def test_a_network_of_one_size_alone_says_which():
    check("crossvit_9_240", 240)
    with pytest.raises(ValueError, match=r"image_size: crossvit_9_240 cannot take 224 \(.*\); timm makes it for 240"):
        check("crossvit_9_240", 224)


@pytest.mark.slow
def test_a_size_of_the_network_that_is_not_that_of_the_images_is_named():
    check("vit_tiny_patch16_224", 64, img_size=64)
    with pytest.raises(ValueError, match="network_def#img_size is 64, but image_size is 96; leave network_def"):
        check("vit_tiny_patch16_224", 96, img_size=64)
    check("vit_tiny_patch16_224", 96, img_size=64, dynamic_img_size=True)  # it takes both


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["convnext_atto", "resnet18", "efficientnet_b0", "regnetx_002", "mobilenetv3_small_100"]
)
def test_networks_that_take_any_size_are_not_told_one(name):
    check(name, 97)
    config = Bundle(BUNDLE, {"student": name, "image_size": 97}).config("train")
    assert config.get_parsed_content("fixed_size") is None
    network = config.get_parsed_content("network_def")
    expected = timm.create_model(name, in_chans=1, num_classes=3)
    assert str(network) == str(expected)


@pytest.mark.slow
def test_metadata_of_another_size_is_warned_of_if_the_network_takes_no_other(caplog):
    check("vit_tiny_patch16_224", 224)
    check("convnext_atto", 64)
    assert caplog.messages == []
    check("vit_tiny_patch16_224", 64)
    (warning,) = caplog.messages
    assert "spatial_shape of the input is [224, 224], but image_size is 64; set it to [64, 64]" in warning
    caplog.clear()
    config = Bundle(BUNDLE, {"student": "vit_tiny_patch16_224", "image_size": 64}).config("train")
    config["_meta_#network_data_format#inputs#image#spatial_shape"] = [64, 64]
    check_image_size(config)
    assert caplog.messages == []


def test_a_network_of_another_library_is_not_asked():
    network = {"_target_": "torch.nn.Linear", "in_features": 3, "out_features": 2}
    check_image_size(Bundle(BUNDLE, {"network_def": network}).config("train"))


def test_outside_of_a_config_one_is_needed():
    with pytest.raises(RuntimeError, match="check_image_size is a part of a config"):
        check_image_size()
