"""What the report says of maps that are made up."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dwskd_monai.evaluation.explanations.deletion import Deletion
from dwskd_monai.evaluation.explanations.explaining import Explained, ShownSlice
from dwskd_monai.evaluation.explanations.pictures import marked, plain
from dwskd_monai.evaluation.html.numbers import number_text
from dwskd_monai.evaluation.page.failures import failure_places
from tests.evaluation.page.made import evaluated
from tests.evaluation.page.test_page import content_of, numbers, written


def drops(by_map: float, by_random: float, by_other: float, count: int = 40) -> Deletion:
    noise = 0.02 * np.random.default_rng(0).normal(size=(3, count))
    return Deletion(*(np.array([by_map, by_random, by_other])[:, None] + noise))


def explained(one, deletions=None, slices=1, side=224):
    """Four cases of each kind, and all failures, with pictures of noise, which take the most space."""
    image = np.random.default_rng(0).normal(size=(1, side, side)).astype(np.float32)
    words = "The image of a study, with what speaks for the class."
    pictures = [plain(image, "image", words), *(marked(image, image[0], name, words) for name in ("occlusion", "CAM"))]
    shown = [ShownSlice(number, 0.9, pictures) for number in range(slices)]
    cases = {kind: dict.fromkeys(range(4), shown) for kind in ("right", "wrong", "uncertain")}
    failures = dict.fromkeys(failure_places(one.calibrated, one.labels), shown[0])
    found = {"occlusion": drops(0.3, 0.1, 0.1)} if deletions is None else deletions
    return dataclasses.replace(one, explained=Explained(cases, failures, range(40), found, {"CAM": "not available"}))


@pytest.mark.parametrize(
    ("falls", "meaning"),
    [
        ((0.3, 0.1, 0.1), "mark pixels that this prediction depends on, more than random ones do"),
        ((0.3, 0.1, 0.3), "they show where the network looks in general"),
        ((0.1, 0.1, 0.0), "cannot be told from random ones"),
    ],
)
def test_the_maps_mean_what_the_test_says(falls, meaning):
    tested = content_of(explained(evaluated(60, 2), {"occlusion": drops(*falls)}))["explanations"]["methods"][
        "occlusion"
    ]
    assert meaning in tested["meaning"]
    values = drops(*falls)
    assert tested["beyond_other"]["value"] == pytest.approx((values.by_map - values.by_other).mean(), abs=1e-6)
    assert tested["map"]["n"] == 40


def test_few_patients_have_words_in_place_of_numbers():
    tested = content_of(explained(evaluated(60, 2, per_patient=5)))["explanations"]["methods"]["occlusion"]
    assert tested["map"] == "too few (n = 40, of 8 patients)"
    assert "cannot be said: too few (n = 40, of 8 patients)" in tested["meaning"]


@pytest.mark.slow
def test_the_page_has_the_test_the_cases_and_the_pictures_and_stays_small(tmp_path):
    one = explained(evaluated(200, 2, signal=0.5), slices=3)
    one = dataclasses.replace(one, studies=[f"/data/Jane Doe/{number}.png" for number in range(200)])
    page, content, _ = written(tmp_path, one)
    for number in numbers(content["explanations"]["methods"]):
        text = number_text(number)
        assert f"{text.value} ({text.interval}), n = {text.n}" in page.text
    assert "CAM: not available." in page.text
    assert "Jane Doe" not in (tmp_path / "report.html").read_text()
    pictures = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src") and "jpeg" in value]
    assert len(pictures) == 12 * 3 * 3 + len(content["failures"]) * 3
    assert all(value.startswith("data:image/jpeg;base64,") for value in pictures)
    assert content["explanations"]["cases"]["right"][2] == {
        "study": "2.png",
        "label": content["explanations"]["cases"]["right"][2]["label"],
        "predicted": content["explanations"]["cases"]["right"][2]["predicted"],
        "probability": pytest.approx(one.calibrated[2].max(), abs=1e-6),
        "slices": [{"slice": number, "probability": 0.9} for number in range(3)],
    }
    assert "The slices that carried it: 1 (0.900), 2 (0.900), 3 (0.900)" in page.text
    assert (tmp_path / "report.html").stat().st_size < 5e6


@pytest.mark.slow
def test_what_is_not_explained_is_said(tmp_path):
    page, content, _ = written(tmp_path, evaluated(60, 2))
    assert "Not shown: explained is 0" in page.text
    assert content["explanations"] == {"reason": "explained is 0, or evaluate.yaml is of an earlier version"}
    assert not any("jpeg" in value for _, name, value in page.attributes if name == "src")
