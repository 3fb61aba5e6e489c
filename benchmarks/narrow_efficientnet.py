"""EfficientNet-Lite0 of half and of three quarters of its width: students that timm can make but has no names for.

``network_def#_target_: narrow_efficientnet.create_model`` in place of ``timm.create_model`` makes their names known.
"""

from __future__ import annotations

from typing import Any

from timm import create_model
from timm.models import register_model
from timm.models.efficientnet import EfficientNet, _gen_efficientnet_lite

__all__ = ["create_model", "tf_efficientnet_lite0_050", "tf_efficientnet_lite0_075"]


@register_model
def tf_efficientnet_lite0_050(pretrained: bool = False, **kwargs: Any) -> EfficientNet:
    """As timm's ``tf_efficientnet_lite0`` but for the width: 1.0 million parameters before the classifier."""
    return _narrow(0.5, pretrained, **kwargs)


@register_model
def tf_efficientnet_lite0_075(pretrained: bool = False, **kwargs: Any) -> EfficientNet:
    """As timm's ``tf_efficientnet_lite0`` but for the width: 2.1 million parameters before the classifier."""
    return _narrow(0.75, pretrained, **kwargs)


def _narrow(width: float, pretrained: bool, **kwargs: Any) -> EfficientNet:
    if pretrained:
        raise ValueError(f"EfficientNet-Lite0 of {width} of its width has no pretrained weights")
    return _gen_efficientnet_lite(
        "tf_efficientnet_lite0", channel_multiplier=width, depth_multiplier=1.0, pad_type="same", bn_eps=1e-3, **kwargs
    )
