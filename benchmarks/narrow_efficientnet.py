"""EfficientNet-Lite0 of half its width, a student that timm can make but has no name for.

``network_def#_target_: narrow_efficientnet.create_model`` in place of ``timm.create_model`` makes its name known.
"""

from __future__ import annotations

from typing import Any

from timm import create_model
from timm.models import register_model
from timm.models.efficientnet import EfficientNet, _gen_efficientnet_lite

__all__ = ["create_model", "tf_efficientnet_lite0_050"]


@register_model
def tf_efficientnet_lite0_050(pretrained: bool = False, **kwargs: Any) -> EfficientNet:
    """As timm's ``tf_efficientnet_lite0`` but for the width: 1.0 million parameters before the classifier."""
    if pretrained:
        raise ValueError("tf_efficientnet_lite0_050 has no pretrained weights")
    return _gen_efficientnet_lite(
        "tf_efficientnet_lite0", channel_multiplier=0.5, depth_multiplier=1.0, pad_type="same", bn_eps=1e-3, **kwargs
    )
