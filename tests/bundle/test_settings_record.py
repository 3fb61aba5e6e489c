"""What a training writes beside its weights, about the images that it learned from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from dwskd_monai.bundle import Bundle, SettingsRecord
from dwskd_monai.bundle.settings_file import digest_of, read_settings, settings_beside, write_settings
from tests.conftest import BUNDLE


class Images:
    """A dataset of which only the contents of its images are known."""

    refused_count = 0

    def __init__(self, *contents: tuple[str, int]) -> None:
        self._contents = contents

    def contents(self):
        return self._contents

    def planes(self):
        return {"unknown": len(self._contents)}


class SoftLabels:
    """Soft labels that a test makes when it likes."""

    def __init__(self, *contents: str) -> None:
        self._contents = contents
        self.agreement: float | None = None

    @property
    def there(self) -> bool:
        return self.agreement is not None

    def unlabeled_contents(self):
        return self._contents


@pytest.fixture
def weights(tmp_path) -> Path:
    torch.save({}, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def make_record(monkeypatch, soft_labels: SoftLabels | None = None, **options) -> SettingsRecord:
    parser = Bundle(BUNDLE).config("train")
    for name, value in {"evaluating_parser": parser, "find_bundle_root": str(BUNDLE)}.items():
        monkeypatch.setattr(f"dwskd_monai.bundle.settings_record.{name}", lambda value=value: value)
    return SettingsRecord(Images(("aa", 0), ("bb", 1)), Images(("cc", 0)), soft_labels=soft_labels, **options)


def written(record: SettingsRecord, weights: Path) -> dict:
    record.write(settings_beside(weights), weights, {"epoch": 1, "metric": "accuracy", "value": 0.5})
    return yaml.safe_load(settings_beside(weights).read_text())["training"]


def test_images_without_labels_are_listed_once_a_network_has_learned_from_them(monkeypatch, weights):
    soft_labels = SoftLabels("ee", "dd", "dd")
    record = make_record(monkeypatch, soft_labels)
    before = written(record, weights)
    assert before["images"] == {"training": ["aa", "bb"], "validation": ["cc"]}
    assert "unlabeled" not in before
    assert read_settings(weights).images["unlabeled"] == []
    soft_labels.agreement = 0.75
    after = written(record, weights)
    assert after["images"] == before["images"] | {"unlabeled": ["ee", "dd", "dd"]}
    assert after["unlabeled"] == {"images": 3, "agreement": 0.75}
    assert read_settings(weights).images["unlabeled"] == ["ee", "dd", "dd"]


def test_the_digest_of_the_datalist_is_of_all_images_that_were_learned_from(monkeypatch, weights):
    digests = []
    for contents in ((), ("dd",), ("dd", "ee"), ("ee", "dd")):
        soft_labels = SoftLabels(*contents)
        soft_labels.agreement = 0.75
        digests.append(written(make_record(monkeypatch, soft_labels), weights)["datalist_sha256"])
    assert len(set(digests[:3])) == 3
    assert digests[2] == digests[3], "in any order"
    assert digests[0] == written(make_record(monkeypatch), weights)["datalist_sha256"]


def test_soft_labels_of_labeled_images_alone_leave_nothing(monkeypatch, weights):
    soft_labels = SoftLabels()
    soft_labels.agreement = 0.75
    origin = written(make_record(monkeypatch, soft_labels), weights)
    assert set(origin["images"]) == {"training", "validation"}
    assert "unlabeled" not in origin


@pytest.mark.parametrize(("restarts", "made"), [(True, False), (True, True), (False, False)])
def test_weights_from_before_main_starts_again_say_so(monkeypatch, weights, restarts, made):
    soft_labels = SoftLabels()
    soft_labels.agreement = 0.75 if made else None
    origin = written(make_record(monkeypatch, soft_labels, restarts=restarts), weights)
    assert origin.get("before_restart", False) is (restarts and not made)


def test_a_resumed_training_started_from_the_weights_that_it_began_with(monkeypatch, weights, tmp_path, caplog):
    one, other = (tmp_path / f"{name}.pt" for name in ("one", "other"))
    for number, file in enumerate((one, other)):
        torch.save({"weight": torch.tensor(number)}, file)
    begun = make_record(monkeypatch, teacher_weights=str(one))
    expected = written(begun, weights)["teacher"]
    for given, warned in ((None, False), (str(one), False), (str(other), True)):
        caplog.clear()
        resumed = make_record(monkeypatch, teacher_weights=given)
        resumed.load_state_dict(begun.state_dict())
        assert written(resumed, weights)["teacher"] == expected
        assert ("teacher_weights: this file is not used" in caplog.text) == warned
    assert expected["sha256"] == digest_of(one)


def save_network(file: Path, **images: list[str]) -> Path:
    """A file of weights with the settings of the training that made it."""
    torch.save({"name": torch.tensor(len(file.name))}, file)
    write_settings(settings_beside(file), file, {}, ["a", "b"], {"images": images})
    return file


def test_images_of_the_networks_that_it_starts_from_are_kept_with_its_own(monkeypatch, weights, tmp_path, caplog):
    teacher = save_network(tmp_path / "teacher.pt", training=["aa", "t1"], validation=["t2"])
    served = save_network(tmp_path / "served.pt", training=["bb", "s1"], unlabeled=["cc", "s2"], earlier=["s3"])
    record = make_record(monkeypatch, teacher_weights=str(teacher))
    assert not caplog.text
    record.start_from(served)
    assert f"starts from {served}, which has learned from 1 of the 1 validation images" in caplog.text
    written(record, weights)
    assert read_settings(weights).images == {
        "training": ["aa", "bb"],
        "validation": ["cc"],
        "unlabeled": [],
        "earlier": ["cc", "s1", "s2", "s3", "t1"],
    }
    resumed = make_record(monkeypatch)
    resumed.load_state_dict(record.state_dict())
    assert written(resumed, weights)["images"]["earlier"] == ["cc", "s1", "s2", "s3", "t1"]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (
            {"training": ["cc", "dd"]},
            "validation; the network that the training started from had learned from 1 of the 1",
        ),
        ({"training": ["dd"]}, "validation"),
        ({}, "validation; it is unknown whether the network that the training started from had learned from them"),
    ],
)
def test_evidence_says_what_validation_images_did_before_the_training(monkeypatch, weights, tmp_path, images, expected):
    record = make_record(monkeypatch)
    record.start_from(save_network(tmp_path / "earlier.pt", **images))
    best = {"epoch": 1, "metric": "accuracy", "value": 0.5}
    record.write(settings_beside(weights), weights, best, {"fitted_on": "validation", "studies": 1})
    assert read_settings(weights).evidence == {"fitted_on": expected, "studies": 1}


def test_networks_of_the_same_images_leave_nothing(monkeypatch, weights, tmp_path):
    teacher = save_network(tmp_path / "teacher.pt", training=["bb", "aa"], validation=["cc"])
    assert "earlier" not in written(make_record(monkeypatch, teacher_weights=str(teacher)), weights)["images"]


@pytest.mark.parametrize("images", [{}, {"training": ["aa"], "earlier": None}, None])
def test_if_images_of_a_network_are_unknown_it_is_said_and_recorded(monkeypatch, weights, tmp_path, caplog, images):
    start = save_network(tmp_path / "start.pt", **images or {})
    if images is None:
        settings_beside(start).unlink()
    record = make_record(monkeypatch)
    record.start_from(start)
    assert f"starts from {start}, and it is unknown from which images that has learned" in caplog.text
    record.start_from(save_network(tmp_path / "other.pt", training=["dd"]))
    written(record, weights)
    assert read_settings(weights).images["earlier"] is None
    resumed = make_record(monkeypatch)
    resumed.load_state_dict(record.state_dict())
    assert written(resumed, weights)["images"]["earlier"] is None


def test_a_teacher_without_settings_is_one_of_timm(monkeypatch, weights, tmp_path, caplog):
    torch.save({}, tmp_path / "teacher.pt")
    record = make_record(monkeypatch, teacher_weights=str(tmp_path / "teacher.pt"))
    assert "earlier" not in written(record, weights)["images"]
    assert not caplog.text
