from __future__ import annotations

import numpy as np
import pytest
import torch

from dwskd_monai.evaluation.shortcuts.parts import (
    PARTS,
    is_border,
    only_borders,
    only_center,
    thumbnail,
    thumbnail_parts,
)


@pytest.mark.parametrize("side", [32, 96, 224])
def test_borders_are_all_but_the_central_70_by_80_percent(side):
    center = ~is_border(side, side)
    rows, columns = np.flatnonzero(center.any(1)), np.flatnonzero(center.any(0))
    assert len(rows) / side == pytest.approx(0.7, abs=0.02)
    assert len(columns) / side == pytest.approx(0.8, abs=0.02)
    assert rows[0] == side - 1 - rows[-1]
    assert columns[0] == side - 1 - columns[-1]


def test_borders_and_center_are_the_image():
    images = torch.randn(2, 3, 40, 48)
    assert torch.equal(only_borders(images) + only_center(images), images)
    assert not (only_borders(images) * only_center(images)).any()


def test_a_blurred_image_keeps_its_means_and_loses_its_detail():
    image = torch.full((1, 1, 64, 64), 3.0)
    checked = image + (torch.arange(64)[:, None] + torch.arange(64)) % 2 - 0.5
    torch.testing.assert_close(PARTS["blurred"](checked), image)


def test_features_are_the_same_parts_of_a_thumbnail():
    image = torch.randn(3, 96, 96)
    small = thumbnail(image)
    expected = image.mean(0).reshape(32, 3, 32, 3).mean((1, 3)).numpy()
    np.testing.assert_allclose(small, expected, atol=1e-6)
    parts = thumbnail_parts(small[None])
    border = is_border(32, 32)
    np.testing.assert_array_equal(parts["borders"][0], small[border])
    np.testing.assert_array_equal(parts["center"][0], small[~border])
    assert parts["blurred"][0, 0] == pytest.approx(small[:4, :4].mean())
    assert parts["blurred"].shape == (1, 64)
