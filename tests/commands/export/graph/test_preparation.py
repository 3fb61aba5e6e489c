"""The preprocessing in the exported graph gives the pixels of the numpy core, whatever the shape of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dwskd_monai.commands.export.graph.building import for_each_slice
from dwskd_monai.commands.export.graph.preparation import prepare
from dwskd_monai.commands.export.graph.steps import Steps
from dwskd_monai.preprocessing import fitting, intensity
from tests.commands.export.graph.graphs import run_graph

SHAPES = [(1, 300, 280), (3, 20, 25), (2, 31, 170), (1, 1, 50), (2, 33, 31), (1, 32, 32), (1, 400, 13)]
SPACINGS = [(1.0, 1.0), (0.7, 1.3), (5.0, 0.4)]
PERCENTILES = Steps(32, True, 0.5, 0.25, percentiles=(0.5, 99.5))
RANGES = Steps(32, True, 0.5, 0.25, ranges=[(-1350.0, 150.0), (-160.0, 240.0)])
STRETCHED = Steps(33, False, 0.1, 0.3, percentiles=(1, 90))
DARK = Steps(36, True, 0.5, 0.25, percentiles=(0, 100))


def in_graph(steps: Steps, **inputs: Any) -> NDArray[np.float32]:
    """The network's input ``(D, C, side, side)``."""

    def written(builder: Any) -> dict[str, Any]:
        prepared = prepare(builder, steps)

        def image(op: Any, one: Any) -> Any:
            return op.Squeeze(prepared.image(op, one), [0])

        return {"images": for_each_slice(builder, prepared.slices, image, ["images"])[0]}

    return run_graph(written, **inputs)["images"]


def in_numpy(steps: Steps, values: NDArray[np.float32], spacing: tuple[float, float], padding: float) -> Any:
    fitted = fitting.fit(values[None], (1.0, *spacing), steps.image_size, steps.keep_aspect)
    if steps.ranges is not None:
        scaled = intensity.window(fitted, steps.ranges)
    else:
        assert steps.percentiles is not None
        scaled = intensity.scale_percentiles(fitted, *steps.percentiles, padding)
    padded = fitting.pad(scaled, steps.image_size)
    return intensity.normalize(padded, steps.mean, steps.std).swapaxes(0, 1)


def stored(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Twelve-bit noise on a slope, in float32."""
    noise = np.random.default_rng(0).integers(0, 1000, shape)
    return (noise + np.linspace(0, 3000, shape[2])).astype(np.int16).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "steps", [PERCENTILES, RANGES, STRETCHED, DARK], ids=["percentiles", "ranges", "stretched", "36"]
)
def test_slices_of_any_shape_and_spacing_become_the_pixels_of_the_numpy_core(steps, shape):
    pixels = stored(shape)
    for spacing in SPACINGS:
        inputs = {"pixels": pixels, "slope": np.ones(1, np.float32), "intercept": np.full(1, -1024, np.float32)}
        inputs |= {"spacing": np.array(spacing), "inverted": np.array(False), "padding": np.array(0, np.float32)}
        expected = in_numpy(steps, pixels - 1024, spacing, 0)
        np.testing.assert_allclose(in_graph(steps, **inputs), expected, atol=1e-4)


def test_each_slice_has_its_own_slope_and_what_is_white_may_be_dark():
    pixels = stored((3, 40, 50))
    slope, intercept = np.float32([0.5, 1, 2]), np.float32([100, 0, -300])
    values = pixels * slope[:, None, None] + intercept[:, None, None]
    inputs = {"pixels": pixels, "slope": slope, "intercept": intercept, "spacing": np.ones(2)}
    for inverted in (False, True):
        given = {"inverted": np.array(inverted), "padding": np.array(0, np.float32)}
        expected = in_numpy(PERCENTILES, -values if inverted else values, (1, 1), 0)
        np.testing.assert_allclose(in_graph(PERCENTILES, **inputs, **given), expected, atol=1e-4)


@pytest.mark.parametrize("padding", [0.0, 0.25, 0.999, 1.0])
def test_percentiles_leave_padding_out(padding):
    pixels = stored((2, 40, 50))
    inputs = {"pixels": pixels, "slope": np.ones(1, np.float32), "intercept": np.zeros(1, np.float32)}
    inputs |= {"spacing": np.ones(2), "inverted": np.array(False), "padding": np.array(padding, np.float32)}
    for steps in (PERCENTILES, DARK):
        expected = in_numpy(steps, pixels, (1, 1), float(np.float32(padding)))
        np.testing.assert_allclose(in_graph(steps, **inputs), expected, atol=1e-3)


def test_a_flat_image_becomes_zeros_and_not_nan():
    inputs = {"pixels": np.full((1, 32, 32), 7, np.float32), "slope": np.ones(1, np.float32)}
    inputs |= {"intercept": np.zeros(1, np.float32), "spacing": np.ones(2)}
    inputs |= {"inverted": np.array(False), "padding": np.array(0, np.float32)}
    np.testing.assert_array_equal(in_graph(PERCENTILES, **inputs), np.full((1, 1, 32, 32), -2, np.float32))
