from __future__ import annotations

import numpy as np
import pytest
import torch

from dwskd_monai.evaluation.explanations.deletion import deletion, most_salient
from tests.evaluation.explanations.toys import SIDE, Looking


def test_a_fifth_of_the_pixels_is_marked_and_equal_ones_are_drawn():
    values = np.arange(100.0).reshape(10, 10)
    random = np.random.default_rng(0)
    assert most_salient(values, random).ravel().nonzero()[0].tolist() == list(range(80, 100))
    nothing = np.zeros((10, 10))
    first, second = most_salient(nothing, random), most_salient(nothing, random)
    assert first.sum() == second.sum() == 20
    assert (first != second).any()
    nothing[0, :5] = 1
    assert most_salient(nothing, random)[0, :5].all()


def test_the_probability_falls_by_true_maps_only():
    """Bright squares that are gone in a blurred image; each network looks at the square of its image."""
    network = Looking(slice(4, 16), slice(4, 16))
    checked = ((torch.arange(SIDE)[:, None] + torch.arange(SIDE)) % 2 * 2.0 - 1)[None, None]
    network.mask *= (checked[0, 0] > 0).float()
    true = network.mask.numpy() + 0.0
    true[4:16, 4:16] += 1
    false = np.flip(true).copy()
    drops = deletion(network, [checked, checked], [1, 1], [true, false])
    before = torch.sigmoid(torch.tensor(8.0)).item()
    assert drops.by_map[0] > before - 0.75, "it is about 0.5 once the square is blurred"
    assert drops.by_map[1] == pytest.approx(0, abs=0.05)
    assert drops.by_other == pytest.approx(drops.by_map[::-1], abs=0.01)
    assert (drops.by_random < drops.by_map[0]).all()


def test_the_test_is_the_same_each_time():
    network = Looking(slice(0, 8), slice(0, 8))
    images = [torch.randn(1, 1, SIDE, SIDE) for _ in range(3)]
    maps = [np.zeros((SIDE, SIDE), np.float32)] * 3
    once, again = (deletion(network, images, [1, 0, 1], maps) for _ in range(2))
    np.testing.assert_array_equal(once.by_random, again.by_random)
    np.testing.assert_array_equal(once.by_map, again.by_map)
