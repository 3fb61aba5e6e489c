"""Tiny networks of the families that are made for one image size, by the arguments that make timm's own tiny."""

from __future__ import annotations

from typing import Any

_VIT = {"embed_dim": 16, "num_heads": 2, "depth": 2}
_SWIN = {"embed_dim": 8, "num_heads": [1, 2, 4, 8], "depths": [2, 1, 1, 1]}
TINY_FIXED: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": _VIT,
    "deit_tiny_distilled_patch16_224": _VIT,
    "deit3_small_patch16_224": _VIT,
    "beit_base_patch16_224": _VIT,
    "eva02_tiny_patch14_224": _VIT | {"embed_dim": 32},
    "swin_tiny_patch4_window7_224": _SWIN,
    "swinv2_tiny_window8_256": _SWIN,
    "maxvit_tiny_tf_224": {
        "embed_dim": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "stem_width": 8, "transformer_dim_head": 8,
    },
    "coatnet_0_rw_224": {
        "embed_dim": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "stem_width": [8, 8], "transformer_dim_head": 8,
    },
}  # fmt: skip


def wider(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a network that is twice as wide, with twice as many heads of the same size."""
    doubled = ("embed_dim", "num_heads", "stem_width")
    return {key: _doubled(value) if key in doubled else value for key, value in arguments.items()}


def _doubled(value: int | list[int]) -> int | list[int]:
    return [2 * one for one in value] if isinstance(value, list) else 2 * value
