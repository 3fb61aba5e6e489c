"""The page: its numbers are those of ``metrics.json``, it is well formed, and it needs no network."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
import torch

from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.html.numbers import number_text
from dwskd_monai.evaluation.measuring import measure_evidence
from dwskd_monai.evaluation.metrics import classification_metrics
from dwskd_monai.evaluation.page.content import measure
from dwskd_monai.evaluation.page.network import Trained, in_words
from dwskd_monai.evaluation.page.page import write_page
from dwskd_monai.evaluation.report import EvaluationReport
from tests.evaluation.evaluate import evaluate
from tests.evaluation.page.made import NAMES, ORIGIN, evaluated

FITTED = Evidence(
    0.8,
    {"ill": 0.4},
    {"healthy": 0.2, "ill": 0.1},
    0.9,
    {
        "applied": True,
        "fitted_on": "validation images",
        "temperature": {"value": 0.8, "n": 90},
        "operating_points": {"classes": {"ill": {"threshold": 0.4}, "healthy": {"reason": "too few (n = 4)"}}},
        "prediction_sets": {"coverage": 0.9, "classes": {"ill": {"threshold": 0.1}}},
    },
)
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Reads a page: its text, its attributes, and tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag
        self.texts += [" "] if tag in ("td", "th", "dt", "dd") else []

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))


def origin_of(one, given=None):
    measured = measure_evidence(one.evidence, one.probabilities, one.labels, one.patients, one.class_names)
    return ORIGIN | {"evidence": dict(one.evidence.record), "evidence_measured": measured} | (given or {})


def content_of(one, given=None):
    return measure(one, origin_of(one, given)).content


def written(folder, one, given=None, other=None):
    """The page and its numbers."""
    origin = origin_of(one, given)
    measured = measure(one, origin, other)
    metrics = classification_metrics(one.calibrated, one.labels, one.class_names)
    write_page(folder / "report.html", measured, metrics, origin, Trained())
    return Page((folder / "report.html").read_text()), measured.content, origin


def numbers(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, dict):
        if "n" in content and "value" in content:
            yield content
        for value in content.values():
            yield from numbers(value)
    elif isinstance(content, list):
        for value in content:
            yield from numbers(value)


CASES = {
    "two classes": {"classes": 2},
    "three classes, several slices": {"classes": 3, "slices": 3, "evidence": FITTED},
    "four classes": {"classes": 4, "count": 200},
    "a missing class": {"classes": 4, "missing": (1,), "count": 150},
    "one class": {"classes": 2, "missing": (1,)},
    "unknown patients": {"classes": 3, "per_patient": None},
    "one patient": {"classes": 3, "per_patient": 1000},
    "12 images": {"count": 12, "classes": 2},
    "one image": {"count": 1, "classes": 2},
    "no error": {"classes": 2, "signal": 100.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_page_has_each_number_of_the_file_and_needs_nothing_else(case, tmp_path):
    page, content, origin = written(tmp_path, evaluated(**CASES[case]))
    shown = dict(content)
    # bins before calibration, and those of each class, are in the figures
    shown["calibration"] = {when: one["brier"] for when, one in content["calibration"].items()}
    shown["bins"] = content["calibration"]["after"]["confidence"]
    shown["evidence"] = origin["evidence_measured"]["calibration"]
    for number in numbers(shown):
        text = number_text(number)
        assert f"{text.value} ({text.interval}), n = {text.n}" in page.text
        if "chance_low" in number:
            assert "chance alone" in text.interval
        elif number["low"] is not None:
            assert number["low"] <= number["value"] <= (number["high"] or float("inf"))
        else:
            assert "no interval" in number["reason"]
    for sentence in content["limits"]:
        assert sentence in page.text
    assert "Research only. Not a medical device." in page.text
    sources = [value for _, name, value in page.attributes if name in ("src", "href")]
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "url(" not in (tmp_path / "report.html").read_text()
    pictures = sum(tag == "img" and name == "src" for tag, name, _ in page.attributes)
    assert sum(tag == "img" and name == "alt" and len(value) > 30 for tag, name, value in page.attributes) == pictures
    assert (tmp_path / "report.html").stat().st_size < 5e6


@pytest.mark.slow
def test_ten_thousand_studies_fit_into_a_page_of_5_mb(tmp_path):
    page, content, _ = written(tmp_path, evaluated(10000, 4, evidence=FITTED))
    assert content["data"]["studies"] == 10000
    assert "10,000 studies (5,000 patients)" in page.text
    assert (tmp_path / "report.html").stat().st_size < 5e6


def test_few_studies_have_words_in_place_of_numbers(tmp_path):
    page, content, _ = written(tmp_path, evaluated(12, 2, per_patient=1))
    assert not list(numbers(content["study"]["classes"]))
    assert "too few (n = " in page.text
    assert "No sensitivity is said of fewer than 10 patients" in page.text


def test_one_patient_with_all_studies_makes_no_number():
    content = content_of(evaluated(per_patient=1000))
    assert not list(numbers(content))
    assert content["data"] | {"classes": {}} == {"studies": 120, "patients": 1, "slices": 120, "classes": {}}


def test_unknown_patients_are_said():
    content = content_of(evaluated(per_patient=None))
    assert content["intervals"] == "95 %, by study: patients are unknown"
    assert "(patients are not known of all)" in content["summary"][0]
    assert any("Patients are unknown, at least of some studies." in sentence for sentence in content["limits"])


def test_a_missing_class_has_words_and_the_means_are_of_the_others():
    content = content_of(evaluated(150, 4, missing=(1,)))
    assert content["study"]["classes"]["ill"]["auc"] == "too few (n = 0)"
    others = [content["study"]["classes"][name]["auc"]["value"] for name in NAMES if name != "ill"]
    assert content["study"]["macro"]["auc"]["value"] == pytest.approx(sum(others) / 3, abs=1e-6)


@pytest.mark.slow
def test_names_are_escaped(tmp_path):
    one = evaluated(60, 2)
    studies = [f"<script>alert({number})</script>" for number in range(60)]
    one = dataclasses.replace(one, class_names=("<b>healthy</b> & co", "ill"), studies=studies)
    page, _, _ = written(tmp_path, one)
    assert "<b>healthy</b> & co" in page.text
    assert not [tag for tag, _, _ in page.attributes if tag == "script"]
    assert "<script" not in (tmp_path / "report.html").read_text()


def test_images_that_trained_or_fitted_the_network_are_said_first(tmp_path):
    page, content, _ = written(tmp_path, evaluated(12), {"trained_images": True, "fitted_images": 30, "split": "all"})
    assert "The network was trained on some of these images, so all numbers are too good." in content["summary"]
    assert "30 of these images chose the epoch" in page.text
    assert "all images of the data set" in page.text


@pytest.mark.slow
def test_the_operating_points_and_sets_of_the_training_are_measured(tmp_path):
    page, content, _ = written(tmp_path, evaluated(evidence=FITTED))
    assert content["study"]["classes"]["ill"]["operating_point"]["threshold"] == 0.4
    assert "operating_point" not in content["study"]["classes"]["healthy"]
    assert "No operating point of healthy: too few (n = 4)." in page.text
    assert set(content["prediction_sets"]) == set(NAMES[:3])
    assert "A temperature T of 0.8 was fitted to 90 studies" in page.text


def test_a_network_of_an_earlier_version_says_what_is_not_recorded(tmp_path):
    page, _, _ = written(tmp_path, evaluated(12))
    assert "not recorded" in page.text
    assert "There are no operating points: evidence is null." in page.text


def test_the_network_is_told_in_words():
    settings = {"network_def": {"model_name": "convnext_atto"}, "deploy": "both", "aggregate": "top_k", "top_k": 5}
    training = {
        "best": {"epoch": 6, "metric": "balanced_accuracy", "value": 0.91234},
        "images": {"training": ["a", "b"], "validation": ["c"]},
        "refused_images": {"training": 1, "validation": 0},
        "overrides": {"image_size": 64, "max_epochs": "@epochs", "network": {"_target_": "x"}},
        "versions": {"torch": "2.8"},
    }
    words = in_words(Trained(settings, training), "0f")
    assert words["student"] == "convnext_atto, the mean of two"
    assert words["slices become a study by"] == "top_k of 5"
    assert words["best epoch"] == "6, with balanced_accuracy 0.912 on the validation images"
    assert words["trained on"] == "2 training images, 1 validation images, 1 refused"
    training |= {"images": training["images"] | {"unlabeled": ["d"] * 7}, "unlabeled": {"images": 7}}
    said = "2 training images, 1 validation images, 7 images without labels, 1 refused"
    assert in_words(Trained(settings, training), "0f")["trained on"] == said, "once"
    training["images"]["earlier"] = None
    assert "earlier images not recorded" in in_words(Trained(settings, training), "0f")["trained on"]
    assert words["changed settings"] == "image_size: 64"
    assert words["teacher"] == words["image size"] == "not recorded"


@pytest.mark.slow
def test_an_evaluator_writes_the_page_and_its_numbers(tmp_path):
    logits = torch.randn(60, 3) + 3 * torch.eye(3)[torch.arange(30).repeat_interleave(2) % 3]
    labels = [number % 3 for number in range(30)]
    evaluate(EvaluationReport(tmp_path, NAMES[:3], split="test"), logits, (2,) * 30, labels)
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["split"] == "test"
    assert content["report"]["study"]["macro"]["accuracy"]["value"] == pytest.approx(
        content["study"]["overall"]["accuracy"], abs=1e-6
    )
    for name in NAMES[:3]:
        got = content["report"]["study"]["classes"][name]["predicted"]["specificity"]["value"]
        assert got == pytest.approx(content["study"]["per_class"][name]["specificity"], abs=1e-6)
    assert content["report"]["slice"]["macro"]["accuracy"]["n"] == 60
    assert "95 %, by study: patients are unknown" in Page((tmp_path / "report.html").read_text()).text


def test_without_a_report_there_is_none(tmp_path):
    evaluate(EvaluationReport(tmp_path, NAMES[:3], report=False))
    assert "report" not in json.loads((tmp_path / "metrics.json").read_text())
    assert not (tmp_path / "report.html").exists()
