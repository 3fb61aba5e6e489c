from __future__ import annotations

import pytest
import torch
from monai.data import CacheDataset
from monai.data.utils import set_rnd
from monai.transforms import Compose, RandGaussianNoised

from dwskd_monai.training.views import AugmentViewsd, probability


def noise(views: str) -> AugmentViewsd:
    return AugmentViewsd(Compose([RandGaussianNoised(keys="image", prob=1.0, std=1.0)]), views)


def test_two_views_are_augmented_independently_and_one_is_not_copied():
    item = {"image": torch.zeros(1, 8, 8), "label": 2}
    two, same = noise("two")(item), noise("same")(item)
    assert not torch.equal(two["image"], two["image_auxiliary"])
    assert "image_auxiliary" not in same
    assert (two["label"], same["label"]) == (2, 2)
    assert not item["image"].any(), "the cached image is untouched"


def test_augmentation_is_seeded_and_ends_the_cache():
    dataset = CacheDataset([{"image": torch.zeros(1, 4, 4)}], Compose([noise("two")]), progress=False)
    set_rnd(dataset, 3)
    first = [dataset[0] for _ in range(2)]
    set_rnd(dataset, 3)
    again = [dataset[0] for _ in range(2)]
    assert not torch.equal(first[0]["image"], first[1]["image"]), "random at each access"
    for item, item_again in zip(first, again):
        assert torch.equal(item["image"], item_again["image"])
        assert torch.equal(item["image_auxiliary"], item_again["image_auxiliary"])


def test_unknown_views_are_named():
    with pytest.raises(ValueError, match="views must be one of same, two; got 'three'"):
        noise("three")


@pytest.mark.parametrize("value", [50, -0.1, float("nan")])
def test_a_probability_that_is_none_is_refused(value):
    assert probability("flip_prob", 0.5) == 0.5
    with pytest.raises(ValueError, match=r"flip_prob must be in \[0, 1\]; got"):
        probability("flip_prob", value)
