"""Augmentation that MONAI lacks: one or two views of an image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.transforms import Compose, Randomizable, Transform
from monai.utils.enums import CommonKeys

from dwskd_monai.training.checks import in_range, one_of

VIEWS = ("same", "two")
AUXILIARY_VIEW = "image_auxiliary"


class AugmentViewsd(Randomizable, Transform):
    """Apply random dictionary transforms to the image once, or twice independently for the two students.

    MONAI's dictionary transforms draw one set of random parameters for all their keys; two independent views of one
    image (as in mean teacher, arXiv 1703.01780) need two draws.

    Args:
        transform: random transforms of the key ``image``.
        views: ``same``: one view, ``image``; ``two``: also ``image_auxiliary``, augmented independently.

    Examples:
        >>> from monai.transforms import RandGaussianNoised
        >>> augment = AugmentViewsd(Compose([RandGaussianNoised("image", prob=1.0)]), views="two").set_random_state(0)
        >>> augmented = augment({"image": np.zeros((1, 4, 4), np.float32)})
        >>> sorted(augmented), bool((augmented["image"] == augmented["image_auxiliary"]).all())
        (['image', 'image_auxiliary'], False)
    """

    def __init__(self, transform: Compose, views: str = "same") -> None:
        one_of("views", views, VIEWS)
        self.transform = transform
        self.views = views

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> AugmentViewsd:
        """Seed the transforms."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Augmented copies of the image in ``data``, each ``(C, H, W)``."""
        result: dict[Hashable, Any] = dict(self.transform(dict(data)))
        if self.views == "two":
            second: Any = self.transform(dict(data))
            result[AUXILIARY_VIEW] = second[CommonKeys.IMAGE]
        return result


def probability(setting: str, value: float) -> float:
    """The value, for a transform of MONAI, which takes 50 for 1.

    Args:
        setting: its name, for the message.
        value: how often the transform is applied.

    Raises:
        ValueError: if it is not in [0, 1].
    """
    in_range(setting, value, 0, 1)
    return value
