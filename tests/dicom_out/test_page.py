"""The picture shows the slice in its true shape, marks what speaks for the class, and holds all texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dwskd_monai.dicom_out.page import draw
from dwskd_monai.dicom_out.said import ClassSaid, Said
from dwskd_monai.evaluation.unlike import StudyNovelty
from dwskd_monai.runtime.deciding import DecidingSlice

BRIGHT = ClassSaid("bright", 0.9, 0.5, reached=True, possible=True)
DARK = ClassSaid("dark", 0.1, None, reached=False, possible=False)
SAID = Said("Brightness", "1.0.0", "ab" * 32, "cd" * 32, (BRIGHT, DARK), BRIGHT, 0.9, StudyNovelty(1.0, 2.0))


def slice_of(height: float = 100.0, width: float = 100.0, value: float = 500.0) -> DecidingSlice:
    pixels = np.full((32, 32), value, np.float32)
    return DecidingSlice(Path("x.dcm"), 11, 40, "axial", pixels, (0.0, 1000.0), height, width)


def no_heat() -> np.ndarray:
    return np.zeros((32, 32), np.float32)


def picture(page: np.ndarray, columns: slice) -> tuple[int, int, int, int]:
    """First and last row, first and last column of the gray picture there; letters have a few gray pixels too."""
    gray = (np.abs(page[:, columns].astype(int) - 128) <= 1).all(2)
    rows = np.flatnonzero(gray.sum(1) > 50)
    found = np.flatnonzero(gray.sum(0) > 50) + columns.start
    return int(rows[0]), int(rows[-1]), int(found[0]), int(found[-1])


@pytest.mark.parametrize(("height", "width"), [(100, 100), (50, 100), (120, 60)])
def test_the_slice_has_its_true_shape(height, width):
    top, bottom, left, right = picture(draw(SAID, slice_of(height, width), no_heat()), slice(0, 480))
    assert (bottom + 1 - top) / (right + 1 - left) == pytest.approx(height / width, rel=0.02)


def test_the_right_picture_is_orange_where_the_map_is_highest():
    heat = no_heat()
    heat[:16, :16] = 0.2
    heat[16:, 16:] = -0.2
    page = draw(SAID, slice_of(), heat).astype(int)
    top, bottom, left, right = picture(draw(SAID, slice_of(), no_heat()), slice(480, 960))
    middle, center = (top + bottom) // 2, (left + right) // 2
    hot = page[top : middle - 20, left : center - 20]
    cold = page[middle + 20 : bottom, center + 20 : right]
    assert (hot[..., 0] - hot[..., 2]).min() > 80
    assert np.ptp(cold, axis=2).max() <= 1, "what speaks against the class is not marked"


def test_all_texts_fit_whatever_their_length():
    rows = tuple(replace(DARK, name=f"class {index} " + "very long " * 12) for index in range(14))
    said = replace(SAID, classes=rows, predicted=rows[0], novelty=StudyNovelty(3.0, 2.0), title="T" * 200)
    few, many = (draw(one, slice_of(), no_heat()) for one in (SAID, said))
    assert many.shape[1] == few.shape[1] == 960
    assert many.shape[0] > few.shape[0] + 300
    for page in (few, many):
        assert not page[:, :24].any()
        assert not page[:, -24:].any()
        assert not page[:100].any()
        assert not page[-60:].any()


def test_words_say_what_the_classifier_says():
    assert SAID.lines() == [
        "Most probable class: bright, 90.0 %.",
        "Prediction set (90%): bright.",
        "Unlike the training images: no (score 1.00, limit 2.00).",
        "Research only. Not for diagnosis.",
    ]
    unlike = replace(SAID, predicted=None, coverage=None, novelty=StudyNovelty(3.0, 2.0))
    assert unlike.lines()[:3] == [
        "No class, because the study is unlike the training images.",
        "Prediction set: not fitted.",
        "Unlike the training images: YES, do not rely on this answer (score 3.00, limit 2.00).",
    ]
    assert len(replace(SAID, novelty=StudyNovelty()).lines()) == 3
