"""A pair of each family that weight selection is tested on: so small that it runs, or as users have it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import monai.networks.nets as monai_nets
import timm
import torch
from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.regnet import RegNetCfg
from torch import nn


def timm_pair(name: str, teacher: dict[str, Any], student: dict[str, Any], **both: Any) -> Pair:
    settings = {"in_chans": 1, "num_classes": 3} | both
    return Pair(
        lambda: timm.create_model(name, **settings, **teacher), lambda: timm.create_model(name, **settings, **student)
    )


def monai_pair(
    network: Callable[..., nn.Module], teacher: dict[str, Any], student: dict[str, Any], **both: Any
) -> Pair:
    return Pair(lambda: network(**both, **teacher), lambda: network(**both, **student))


def mobile_pair(
    network: type[nn.Module],
    stages: list[list[str]],
    teacher: tuple[float, float],
    student: tuple[float, float],
    **both: Any,
) -> Pair:
    """Networks of the first stages of a family of timm; of each its width and depth, as multiples."""

    def made(width: float, depth: float) -> nn.Module:
        blocks = decode_arch_def(stages, depth_multiplier=depth)
        rounded = functools.partial(round_channels, multiplier=width)
        settings = {"num_features": int(64 * width), "in_chans": 1, "num_classes": 3}
        return network(block_args=blocks, round_chs_fn=rounded, **settings, **both)

    return Pair(lambda: made(*teacher), lambda: made(*student))


@dataclass(frozen=True)
class Pair:
    """A teacher and a student that is narrower and, mostly, shallower."""

    teacher: Callable[[], nn.Module]
    student: Callable[[], nn.Module]


def _swin(width: int, depth: int) -> dict[str, Any]:
    return {"embed_dim": width, "depths": (2, depth), "num_heads": (width // 8, width // 4)}


SWIN = {"img_size": 32, "patch_size": 4, "window_size": 4}
BLOCKS = {"img_size": 32, "patch_size": 8}
WIDE, NARROW = {"embed_dim": 48, "num_heads": 6, "depth": 3}, {"embed_dim": 16, "num_heads": 2, "depth": 2}
CONVNEXT = {"dims": (20, 24, 32, 40), "depths": (1, 2, 3, 1)}, {"dims": (8, 12, 16, 20), "depths": (1, 1, 2, 1)}
RESNET = {"channels": (24, 32, 40, 48), "layers": (2, 2, 3, 1)}, {"channels": (8, 12, 20, 24), "layers": (1, 2, 2, 1)}
REGNET = {"depth": 6, "w0": 32, "wa": 32.0, "wm": 2.0, "se_ratio": 0.25, "group_size": 8}
EFFICIENTNET = ["r1_k3_s11_e1_i32_o16_se0.25", "r2_k3_s22_e6_i16_o24_se0.25", "r2_k5_s22_e6_i24_o40_se0.25"]
EFFICIENTNET_STAGES = [["ds_r1_k3_s1_e1_c16_se0.25"], ["ir_r2_k3_s2_e6_c24_se0.25"], ["ir_r2_k5_s2_e6_c40_se0.25"]]
MOBILENETV2_STAGES = [["ds_r1_k3_s1_c16"], ["ir_r2_k3_s2_e6_c24"], ["ir_r2_k3_s2_e6_c32"]]
MOBILENETV3_STAGES = [
    ["ds_r1_k3_s1_e1_c16_nre"],
    ["ir_r1_k3_s2_e4_c24_nre", "ir_r1_k3_s1_e3_c24_nre"],
    ["ir_r2_k5_s2_e3_c40_se0.25_nre"],
    ["cn_r1_k1_s1_c96"],
]
SENET = {
    "block": "se_resnet_bottleneck",
    "inplanes": 64,
    "input_3x3": False,
    "downsample_kernel_size": 1,
    "groups": 1,
    "reduction": 4,
    "dropout_prob": None,
    "spatial_dims": 2,
    "in_channels": 1,
}

# Small enough for forward passes. The student may be shallower where an unused block passes its input on.
TINY: dict[str, Pair] = {
    "ViT": timm_pair("vit_tiny_patch16_224", WIDE, NARROW, **BLOCKS),
    "ViT, qk norm, registers": timm_pair("vit_tiny_patch16_224", WIDE, NARROW, **BLOCKS, qk_norm=True, reg_tokens=2),
    "DeiT distilled": timm_pair("deit_tiny_distilled_patch16_224", WIDE, NARROW, **BLOCKS),
    "DeiT-3": timm_pair("deit3_small_patch16_224", WIDE, NARROW, **BLOCKS),
    "EVA-02, SwiGLU, RoPE": timm_pair("eva02_tiny_patch14_224", WIDE, NARROW, **BLOCKS),
    "EVA-02, q, k, v apart": timm_pair("eva02_base_patch14_224", WIDE, NARROW, **BLOCKS),
    "BEiT": timm_pair("beit_base_patch16_224", WIDE, NARROW, **BLOCKS),
    "Swin": timm_pair("swin_tiny_patch4_window7_224", _swin(32, 4), _swin(16, 2), **SWIN),
    "Swin V2": timm_pair("swinv2_tiny_window8_256", _swin(32, 4), _swin(16, 2), **SWIN),
    "ConvNeXt": timm_pair("convnext_atto", *CONVNEXT),
    "ConvNeXtV2": timm_pair("convnextv2_atto", *CONVNEXT),
    "ResNet": timm_pair("resnet26", *RESNET),
    "ResNet, basic blocks": timm_pair("resnet18", *RESNET),
    "ResNet-D, squeeze and excitation": timm_pair(
        "seresnext26d_32x4d",
        {"cardinality": 4, "base_width": 32, "layers": (2, 1, 1, 1), "channels": (16, 32, 32, 32)},
        {"cardinality": 2, "base_width": 32, "layers": (1, 1, 1, 1), "channels": (16, 16, 16, 32)},
    ),
    "ResNeXt, fewer groups": timm_pair(
        "resnext50_32x4d",
        {"cardinality": 4, "base_width": 16, "layers": (2, 1, 1, 1), "channels": (16, 32, 32, 64)},
        {"cardinality": 2, "base_width": 16, "layers": (1, 1, 1, 1), "channels": (16, 16, 32, 32)},
    ),
    "ResNeXt, narrower groups": timm_pair(
        "resnext50_32x4d",
        {"cardinality": 4, "base_width": 16, "layers": (2, 1, 1, 1), "channels": (16, 32, 32, 64)},
        {"cardinality": 4, "base_width": 8, "layers": (1, 1, 1, 1), "channels": (16, 32, 32, 64)},
    ),
    "DenseNet": monai_pair(
        timm.models.DenseNet,
        {"growth_rate": 12, "block_config": (2, 3, 2)},
        {"growth_rate": 4, "block_config": (2, 2, 1)},
        in_chans=1, num_classes=3,
    ),
    "EfficientNet": mobile_pair(EfficientNet, EFFICIENTNET_STAGES, (1.1, 1.2), (1.0, 1.0), act_layer=nn.SiLU),
    "MobileNetV2": mobile_pair(EfficientNet, MOBILENETV2_STAGES, (1.0, 1.0), (0.5, 1.0), act_layer=nn.ReLU6),
    "MobileNetV3": mobile_pair(MobileNetV3, MOBILENETV3_STAGES, (1.0, 1.0), (0.75, 1.0), act_layer=nn.Hardswish),
    "MobileNetV4": Pair(
        lambda: timm.create_model("mobilenetv4_conv_small", in_chans=1, num_classes=3),
        lambda: timm.create_model("mobilenetv4_conv_small_035", in_chans=1, num_classes=3),
    ),
    "RegNet": Pair(
        lambda: timm.models.RegNet(RegNetCfg(**REGNET), in_chans=1, num_classes=3),
        lambda: timm.models.RegNet(RegNetCfg(**REGNET | {"w0": 16, "wa": 16.0}), in_chans=1, num_classes=3),
    ),
    "MONAI DenseNet": monai_pair(
        monai_nets.DenseNet,
        {"growth_rate": 12, "block_config": (2, 3), "init_features": 20},
        {"growth_rate": 4, "block_config": (1, 2), "init_features": 8},
        spatial_dims=2, in_channels=1, out_channels=3,
    ),
    "MONAI DenseNet 3-D": monai_pair(
        monai_nets.DenseNet,
        {"growth_rate": 12, "block_config": (2, 3), "init_features": 20},
        {"growth_rate": 4, "block_config": (1, 2), "init_features": 8},
        spatial_dims=3, in_channels=1, out_channels=3,
    ),
    "MONAI SEResNet": monai_pair(
        monai_nets.SENet, {"layers": (2, 1, 1, 1)}, {"layers": (1, 1, 1, 1)}, num_classes=3, **SENET
    ),
    "MONAI EfficientNetBN": monai_pair(
        monai_nets.EfficientNet,
        {"width_coefficient": 1.3, "depth_coefficient": 1.5},
        {"width_coefficient": 0.6, "depth_coefficient": 1.0},
        blocks_args_str=EFFICIENTNET, spatial_dims=2, in_channels=1, num_classes=3, image_size=64,
    ),
    "MONAI ViT": monai_pair(
        monai_nets.ViT,
        {"hidden_size": 48, "num_heads": 6, "mlp_dim": 96, "num_layers": 3},
        {"hidden_size": 16, "num_heads": 2, "mlp_dim": 40, "num_layers": 2},
        in_channels=1, img_size=(32, 32), patch_size=(8, 8), spatial_dims=2, classification=True, num_classes=3,
    ),
    "MONAI ViT 3-D": monai_pair(
        monai_nets.ViT,
        {"hidden_size": 48, "num_heads": 6, "mlp_dim": 96, "num_layers": 3},
        {"hidden_size": 16, "num_heads": 2, "mlp_dim": 40, "num_layers": 2},
        in_channels=1, img_size=(16, 16, 16), patch_size=(8, 8, 8), spatial_dims=3, classification=True, num_classes=3,
    ),
}  # fmt: skip

# As users have them; made without memory for their weights.
PUBLISHED: list[tuple[str, str]] = [
    ("vit_small_patch16_224", "vit_tiny_patch16_224"),
    ("deit_small_distilled_patch16_224", "deit_tiny_distilled_patch16_224"),
    ("deit3_base_patch16_224", "deit3_small_patch16_224"),
    ("eva02_small_patch14_224", "eva02_tiny_patch14_224"),
    ("beit_large_patch16_224", "beit_base_patch16_224"),
    ("swin_base_patch4_window7_224", "swin_tiny_patch4_window7_224"),
    ("swinv2_base_window8_256", "swinv2_tiny_window8_256"),
    ("maxvit_small_tf_224", "maxvit_tiny_tf_224"),
    ("coatnet_1_rw_224", "coatnet_0_rw_224"),
    ("convnext_tiny", "convnext_femto"),
    ("convnextv2_tiny", "convnextv2_atto"),
    ("resnet152", "resnet50"),
    ("resnet34", "resnet18"),
    ("resnext101_32x8d", "resnext50_32x4d"),
    ("wide_resnet50_2", "resnet50"),
    ("regnetx_004", "regnetx_002"),
    ("regnety_040", "regnety_008"),
    ("efficientnet_b4", "efficientnet_b0"),
    ("mobilenetv2_140", "mobilenetv2_100"),
    ("mobilenetv3_large_100", "mobilenetv3_large_075"),
    ("mobilenetv3_small_100", "mobilenetv3_small_050"),
    ("mobilenetv4_conv_small", "mobilenetv4_conv_small_050"),
    ("mobilenetv4_hybrid_medium", "mobilenetv4_hybrid_medium_075"),
    ("densenet201", "densenet121"),
    ("densenet161", "densenet121"),
]
MONAI_PUBLISHED: dict[str, Pair] = {
    "DenseNet201, DenseNet121": monai_pair(
        lambda large, **args: (monai_nets.DenseNet201 if large else monai_nets.DenseNet121)(**args),
        {"large": True}, {"large": False}, spatial_dims=2, in_channels=1, out_channels=3,
    ),
    "DenseNet264, DenseNet169, 3-D": monai_pair(
        lambda large, **args: (monai_nets.DenseNet264 if large else monai_nets.DenseNet169)(**args),
        {"large": True}, {"large": False}, spatial_dims=3, in_channels=1, out_channels=3,
    ),
    "SEResNet101, SEResNet50": monai_pair(
        lambda large, **args: (monai_nets.SEResNet101 if large else monai_nets.SEResNet50)(**args),
        {"large": True}, {"large": False}, spatial_dims=2, in_channels=1, num_classes=3,
    ),
    "EfficientNetBN b4, b0": monai_pair(
        monai_nets.EfficientNetBN, {"model_name": "efficientnet-b4"}, {"model_name": "efficientnet-b0"},
        pretrained=False, spatial_dims=2, in_channels=1, num_classes=3,
    ),
}  # fmt: skip


def on_meta(network: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return network()
