from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from dwskd_monai.evaluation.explanations.pictures import SIDE, marked, plain

SLICE = np.random.default_rng(0).normal(size=(1, 64, 64)).astype(np.float32)


def opened(picture) -> np.ndarray:
    head, content = picture.source.split(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).astype(float)


@pytest.mark.parametrize(("shape", "expected"), [((1, 64, 64), (160, 160)), ((3, 96, 48), (160, 80, 3))])
def test_a_picture_is_small_and_has_the_colors_of_the_image(shape, expected):
    assert (
        opened(plain(np.random.default_rng(0).normal(size=shape).astype(np.float32), "image", "words")).shape
        == expected
    )


def test_a_picture_goes_from_black_to_white():
    ramp = np.linspace(-2, 3, 64, dtype=np.float32)[None, None].repeat(64, 1)
    picture = opened(plain(ramp, "image", "words"))
    assert picture[:, :4].mean() < 10
    assert picture[:, -4:].mean() > 245
    assert opened(plain(np.ones((1, 64, 64), np.float32), "image", "words")).max() == 0


def test_the_marked_fifth_stays_bright_within_a_white_line_and_the_rest_is_darker():
    flat = np.zeros((1, 64, 64), np.float32)
    flat[:, :, ::2] = 1
    saliency = np.zeros((64, 64), np.float32)
    saliency[:13] = np.linspace(2, 1, 13)[:, None]
    before = opened(plain(flat, "image", "words"))
    after = opened(marked(flat, saliency, "occlusion", "words"))
    assert after[4:20].mean() == pytest.approx(before[4:20].mean(), rel=0.1)
    assert after[60:].mean() == pytest.approx(0.55 * before[60:].mean(), rel=0.05)
    line = after[10:40].mean(1)
    assert line.max() > 230, "a white line across the image, at its lower end"
    assert abs(int(line.argmax()) + 10 - 0.2 * SIDE) < 5


def test_a_map_that_marks_nothing_says_so():
    picture = marked(SLICE, np.zeros((64, 64), np.float32), "Grad-CAM++", "words")
    assert picture.title == "Grad-CAM++: nothing speaks for it"
    assert picture.source == plain(SLICE, "image", "words").source
