from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from dwskd_monai.commands.suggest.sheet import MOST_PICTURES, Picture, draw_sheet, sheet


def pictures(count: int, *lines: str) -> list[Picture]:
    return [Picture(np.full((8, 8), number) + np.eye(8), [f"{number}. x.png", *lines]) for number in range(count)]


def test_each_picture_is_drawn_with_its_caption_in_its_order():
    figure = sheet(pictures(7, "covid19 / pneumonia"), "next")
    (axes,) = figure.axes
    title, *captions = axes.texts
    assert title.get_text() == "next"
    assert [text.get_text() for text in captions] == [f"{number}. x.png\ncovid19 / pneumonia" for number in range(7)]
    for number, (image, caption) in enumerate(zip(axes.images, captions, strict=True)):
        np.testing.assert_array_equal(image.get_array(), np.full((8, 8), number) + np.eye(8))
        left, right, bottom, top = image.get_extent()
        assert left < caption.get_position()[0] < right
        assert caption.get_position()[1] < top < bottom, "the caption is above its picture"
        assert (left > 0, top > 0, bottom <= figure.get_figheight()) == (True, True, True)


def test_pictures_do_not_overlap():
    boxes = [image.get_extent() for image in sheet(pictures(12), "").axes[0].images]
    for number, (left, right, bottom, top) in enumerate(boxes):
        for other_left, other_right, other_bottom, other_top in boxes[:number]:
            beside = right <= other_left or other_right <= left
            assert beside or bottom <= other_top or other_bottom <= top


def test_the_first_hundred_are_drawn_and_the_title_says_so():
    figure = sheet(pictures(MOST_PICTURES + 3), "next")
    assert len(figure.axes[0].images) == MOST_PICTURES == 100
    assert figure.axes[0].texts[0].get_text() == "next (the first 100 of 103)"


@pytest.mark.slow
def test_the_file_is_small_and_readable(tmp_path):
    random = np.random.default_rng(0)
    noise = [Picture(random.random((224, 224)), [f"{number}. x.png"]) for number in range(20)]
    draw_sheet(tmp_path / "sheet.png", noise, "next")
    with Image.open(tmp_path / "sheet.png") as drawn:
        assert drawn.width == 1200, "of five pictures side by side"
    assert (tmp_path / "sheet.png").stat().st_size < 1.2e6, "even noise, which nothing compresses"


def test_names_that_matplotlib_would_read_as_formulas_or_cannot_draw_are_drawn(tmp_path):
    names = ["a$b_{1}$.png", "x^2$", "胸部.png", "a" * 30 + "$" + "b" * 30]
    draw_sheet(tmp_path / "sheet.png", [Picture(np.zeros((4, 4)), [name]) for name in names], "$x")
    captions = sheet([Picture(np.zeros((4, 4)), [name]) for name in names], "").axes[0].texts[1:]
    assert [text.get_text() for text in captions[:3]] == names[:3]
    assert captions[3].get_text() == "a" * 15 + "…" + "b" * 15


def test_a_name_that_is_not_utf_8_is_drawn_with_escapes(tmp_path):
    picture = Picture(np.zeros((4, 4)), [f"1. {os.fsdecode(b'gr' + bytes([0xFC]) + b'n.png')}"])
    draw_sheet(tmp_path / "sheet.png", [picture], "next")
    assert sheet([picture], "").axes[0].texts[1].get_text() == "1. gr\\udcfcn.png"
