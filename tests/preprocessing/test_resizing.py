"""Resizing against what its definition says: the mean over an area, integrated; and a straight line between centers."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from dwskd_monai.preprocessing.resizing import axis_weights, resize

PIXELS = np.random.default_rng(0).normal(size=(2, 3, 23, 17)).astype(np.float32)


def mean_over_area(row: list[Fraction], start: Fraction, end: Fraction) -> Fraction:
    """The integral from start to end of the function that is ``row[i]`` between i and i + 1, over its length."""
    total = Fraction(0)
    for i, value in enumerate(row):
        inside = min(end, Fraction(i + 1)) - max(start, Fraction(i))
        if inside > 0:
            total += inside * value
    return total / (end - start)


@pytest.mark.parametrize(("length", "new_length"), [(12, 12), (12, 6), (12, 5), (12, 7), (512, 224), (7, 1), (3, 2)])
def test_a_shorter_axis_has_the_mean_over_the_area_of_each_new_pixel(length, new_length):
    row = [Fraction(int(value), 10) for value in np.random.default_rng(length).integers(-50, 50, length)]
    side = Fraction(length, new_length)
    expected = [float(mean_over_area(row, i * side, (i + 1) * side)) for i in range(new_length)]
    got = axis_weights(length, new_length) @ np.array(row, np.float32)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(("length", "new_length"), [(12, 13), (12, 24), (5, 12), (1, 4)])
def test_a_longer_axis_is_interpolated_linearly_between_centers(length, new_length):
    row = np.random.default_rng(length).normal(size=length).astype(np.float32)
    centers = (np.arange(new_length) + 0.5) * length / new_length - 0.5
    expected = np.interp(centers, np.arange(length), row)
    np.testing.assert_allclose(axis_weights(length, new_length) @ row, expected, atol=1e-6)


def test_the_shares_of_the_docstring():
    np.testing.assert_allclose(axis_weights(3, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]], atol=1e-7)


@pytest.mark.parametrize("new_length", [1, 2, 5, 16, 17, 18, 40])
def test_the_mean_of_a_constant_is_that_constant(new_length):
    np.testing.assert_allclose(axis_weights(17, new_length).sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("size", [(10, 6), (30, 40), (10, 40), (30, 6), (23, 17)])
def test_both_axes_are_resized_on_their_own(size):
    expected = np.einsum("yh,cdhw,xw->cdyx", axis_weights(23, size[0]), PIXELS, axis_weights(17, size[1]))
    resized = resize(PIXELS, size)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected, atol=1e-5)


def test_integer_ratios_and_growing_are_those_of_torch():
    pixels = torch.from_numpy(PIXELS[..., :20, :16])
    np.testing.assert_allclose(resize(pixels.numpy(), (5, 8)), interpolate(pixels, (5, 8), mode="area"), atol=1e-6)
    grown = interpolate(pixels, (33, 50), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(resize(pixels.numpy(), (33, 50)), grown, atol=1e-5)


def test_slices_do_not_depend_on_those_beside_them():
    pixels = np.random.default_rng(1).normal(size=(1, 75, 9, 8)).astype(np.float32)
    whole = resize(pixels, (4, 5))
    np.testing.assert_allclose(whole[:, ::-1], resize(pixels[:, ::-1], (4, 5)), atol=1e-7)
    np.testing.assert_allclose(whole[:, 70:71], resize(pixels[:, 70:71], (4, 5)), atol=1e-7)


def test_the_numpy_core_needs_neither_torch_nor_monai():
    code = (
        "import sys; from dwskd_monai.preprocessing import fitting, intensity, resizing; "
        "sys.exit(', '.join(name for name in ('torch', 'monai', 'scipy', 'pandas') if name in sys.modules) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
