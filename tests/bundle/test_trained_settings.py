"""The file of trained settings: bound to its weights, compared with what is given later."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine

from dwskd_monai.bundle import RefuseReplacedWeights, load_trained_settings, trained_network
from dwskd_monai.bundle.settings_file import digest_of, read_settings, settings_beside, write_settings
from dwskd_monai.bundle.trained_settings import TrainedSettings
from dwskd_monai.ensemble import Ensemble
from dwskd_monai.files import next_of
from tests.conftest import BUNDLE

SETTINGS = {
    "image_size": 32,
    "windows": [[1500, -600]],
    "aggregate": "mean",
    "network_def": {"_target_": "torch.nn.Linear", "in_features": 3, "out_features": 2},
    "study_transforms": [{"_target_": "dwskd_monai.preprocessing.FitSlicesd", "spatial_size": 32}],
}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(3, 2).state_dict(), file)
    images = {"training": ["aa", "bb"], "validation": ["cc"]}
    write_settings(settings_beside(file), file, SETTINGS, ["a", "b"], {"seed": 3, "images": images})
    return file


@pytest.fixture
def trained(weights) -> TrainedSettings:
    return read_settings(weights)


def test_what_was_written_is_read(weights, trained):
    assert dict(trained) == SETTINGS
    assert trained.class_names == ["a", "b"]
    assert trained.sha256 == digest_of(weights)
    assert trained.images == {"training": ["aa", "bb"], "validation": ["cc"], "unlabeled": [], "earlier": []}
    assert trained.planes == {}, "written by an earlier version"
    assert trained.evidence == {}, "written by an earlier version"
    assert trained.create_network().weight.shape == (2, 3)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ({"images": {"training": ["aa"], "unlabeled": ["dd"]}, "unlabeled": {"images": 1}}, ["dd"]),
        ({"images": {"training": ["aa"]}}, []),
        ({"images": {}}, []),
        ({"images": {"training": ["aa"]}, "unlabeled": {"images": 1, "sha256": "0f"}}, None),
    ],
    ids=["some", "none", "made elsewhere", "an earlier version did not list them"],
)
def test_images_without_labels_are_listed_or_known_not_to_be(weights, origin, expected):
    write_settings(settings_beside(weights), weights, SETTINGS, ["a", "b"], origin)
    assert read_settings(weights).images["unlabeled"] == expected


def test_the_planes_of_the_training_images_are_a_line_that_a_person_can_read(weights):
    file = settings_beside(weights)
    write_settings(file, weights, SETTINGS, ["a", "b"], {"planes": {"axial": 52, "sagittal": 3}})
    assert read_settings(weights).planes == {"axial": 52, "sagittal": 3}
    assert "  planes: {axial: 52, sagittal: 3}" in file.read_text().splitlines()


def test_evidence_is_kept_beside_the_settings_and_those_of_the_fit_are_compared_too(weights):
    file = settings_beside(weights)
    evidence = {"settings": {"operating_point": "youden"}, "temperature": {"value": 1.5, "n": 40}}
    write_settings(file, weights, SETTINGS, ["a", "b"], {}, evidence)
    trained = read_settings(weights)
    assert trained.evidence == evidence
    assert dict(trained) == SETTINGS
    assert trained.check({"evidence": None, "operating_point": "youden", "prediction_set": 0.8}) == {}
    with pytest.raises(ValueError, match=r"operating_point: .*model.pt was trained with 'youden', got 'specificity>="):
        trained.check({"operating_point": "specificity>=0.9"})


def test_the_network_is_the_mean_of_two_students_if_both_are_deployed(weights):
    both = Ensemble(torch.nn.Linear(3, 2), torch.nn.Linear(3, 2))
    torch.save(both.state_dict(), weights)
    write_settings(settings_beside(weights), weights, SETTINGS | {"deploy": "both"}, ["a", "b"], {})
    image = torch.randn(4, 3)
    expected = (both.networks[0](image).softmax(1) + both.networks[1](image).softmax(1)) / 2
    torch.testing.assert_close(read_settings(weights).load_network()(image).softmax(1), expected)
    write_settings(settings_beside(weights), weights, SETTINGS | {"deploy": "better"}, ["a", "b"], {})
    with pytest.raises(ValueError, match="model.pt does not fit the network that its settings describe"):
        read_settings(weights).load_network()


def test_other_weights_are_refused(weights):
    torch.save(torch.nn.Linear(3, 2).state_dict(), weights)
    with pytest.raises(ValueError, match=r"model.yaml has the settings of other weights than .*model.pt.*Copy both"):
        read_settings(weights)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda whole: whole[:-400], "damaged, its end is missing"),
        (lambda whole: b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (lambda whole: b"", "an empty file"),
    ],
)
def test_weights_that_are_damaged_or_something_else_are_named(weights, damage, message):
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(ValueError, match=f"{re.escape(str(weights))}: {message}"):
        read_settings(weights)


def test_zeros_inside_of_the_weights_are_found_also_if_they_have_no_settings(weights):
    values = torch.load(weights, weights_only=True)["weight"].numpy().tobytes()
    weights.write_bytes(weights.read_bytes().replace(values, bytes(len(values))))
    assert not torch.load(weights, weights_only=True)["weight"].any(), "torch does not see it"
    settings_beside(weights).unlink()
    with pytest.raises(ValueError, match=r"model.pt: damaged, the checksum of its part \S+/data/0 is wrong"):
        read_settings(weights)


def test_weights_without_settings_are_refused_with_the_command_that_writes_them(weights):
    settings_beside(weights).unlink()
    message = f"has no trained settings.* python -m dwskd_monai settings BUNDLE --checkpoint {re.escape(str(weights))}"
    with pytest.raises(ValueError, match=message):
        read_settings(weights)


@pytest.mark.parametrize("content", ["", "- a list", "format: 1\nweights: {sha256: x}\n", "{broken"])
def test_a_damaged_file_is_named(weights, content):
    settings_beside(weights).write_text(content)
    with pytest.raises(ValueError, match=r"model.yaml is not a file of trained settings, or is damaged"):
        read_settings(weights)


def test_a_later_format_is_refused(weights):
    file = settings_beside(weights)
    file.write_text(file.read_text().replace("format: 1", "format: 2"))
    with pytest.raises(ValueError, match="model.yaml has format 2, but this dwskd_monai reads formats up to 1"):
        read_settings(weights)


def test_settings_that_an_interruption_left_beside_their_place_are_taken(weights, trained):
    """Killed after the weights were replaced, before their settings were."""
    file = settings_beside(weights)
    os.replace(file, next_of(file))
    file.write_text(next_of(file).read_text().replace(digest_of(weights), "0" * 64))
    assert read_settings(weights).sha256 == trained.sha256
    assert not next_of(file).exists()
    assert read_settings(weights).sha256 == trained.sha256


def test_settings_of_weights_that_were_never_put_in_place_are_left_alone(weights, trained):
    """Killed before the weights were replaced."""
    next_of(settings_beside(weights)).write_text(
        "format: 1\nweights: {sha256: x}\nsettings: {}\nclasses: []\ntraining: {}"
    )
    assert dict(read_settings(weights)) == SETTINGS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"image_size": 64}, "image_size: .*model.pt was trained with 32, got 64; leave image_size out"),
        ({"windows": [[400, 40]]}, r"windows: .*trained with \[\[1500, -600\]\], got \[\[400, 40\]\]"),
        ({"network_def#in_features": 4}, "network_def#in_features: .*trained with 3, got 4"),
        ({"network_def::in_features": 4}, "network_def::in_features: .*trained with 3, got 4"),
        ({"network_def#bias": False}, "network_def#bias: .*trained with nothing, got False"),
        ({"study_transforms": []}, "study_transforms: .*, got \\[\\]"),
    ],
)
def test_a_contradiction_is_refused_with_both_values(trained, given, message):
    with pytest.raises(ValueError, match=message):
        trained.check(given)


def test_what_is_given_once_more_is_taken_and_what_may_differ_is_told(trained):
    repeated = SETTINGS | {"image_size": 32.0, "windows": ((1500, -600),), "network_def#in_features": 3}
    assert trained.check(repeated | {"batch_size": 4, "device": "cpu"}) == {}
    assert trained.check({"aggregate": "max"}) == {"aggregate": "max"}
    packed = [{"_target_": "dwskd_monai.preprocessing.FitSlicesd", "spatial_size": 32}]
    assert trained.check({"study_transforms": packed}) == {}


def test_a_setting_inside_a_map_counts_and_the_rest_of_the_map_does_not(weights):
    trained = TrainedSettings({"own#low": 1}, ["a", "b"], {}, weights, "0f")
    assert trained.check({"own": {"low": 1, "high": 5}, "own#high": 6, "own::low": 1}) == {}
    for given in ({"own": {"low": 2}}, {"own#low": 2}, {"own::low": 2}):
        with pytest.raises(ValueError, match="own(#|::)low: .*trained with 1, got 2"):
            trained.check(given)


@pytest.mark.parametrize("names", [["b", "a"], ["a", "c"], ["a"]])
def test_other_classes_are_refused(trained, names):
    with pytest.raises(ValueError, match="was trained with a, b, but configs/metadata.json now names"):
        trained.check_classes(names)


def test_an_argument_of_the_network_is_compared_where_it_is_given(trained):
    assert trained_network(trained, in_features=3).weight.shape == (2, 3)
    with pytest.raises(ValueError, match="network_def#out_features: .*trained with 2, got 5"):
        trained_network(trained, out_features=5)


def test_before_any_training_they_are_what_train_yaml_has(tmp_path):
    trained = load_trained_settings(tmp_path / "model.pt", BUNDLE)
    assert (trained["image_size"], trained["student"], trained.sha256) == (224, "convnext_femto", None)
    with pytest.raises(FileNotFoundError, match=r"model.pt does not exist; train the bundle first, or give the file"):
        trained.check_use({}, [])
    with pytest.raises(ValueError, match="image_size: configs/train.yaml has 224, got 96"):
        trained.check({"image_size": 96})


def test_a_network_that_was_replaced_after_its_settings_were_read_is_not_used(tmp_path):
    weights = tmp_path / "model.pt"
    torch.save({"weight": torch.zeros(1)}, weights)
    handler = RefuseReplacedWeights(TrainedSettings({}, [], {}, weights, digest_of(weights)))
    engine = Engine(lambda engine, batch: None)
    handler.attach(engine)
    engine.run([0])
    torch.save({"weight": torch.ones(1)}, weights)
    with pytest.raises(ValueError, match=r"model.pt was replaced after its settings were read"):
        engine.run([0])
