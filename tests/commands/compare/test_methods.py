from __future__ import annotations

import pytest
from monai.bundle import ConfigParser

from dwskd_monai.commands.compare.methods import chosen_methods, read_methods
from tests.conftest import BUNDLES

NAMES = (
    "scratch scratch_label_smoothing selection selection_longer selection_kd mean_teacher mutual_scratch "
    "mutual_selection_same dws_skd_ema dws_skd_mutual two_starts both_deployed teacher_soft_labels soft_labels "
    "soft_labels_same own_soft_labels teacher probe_linear probe_knn label_spreading"
)


def test_the_methods_are_there():
    assert list(read_methods()) == NAMES.split()


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
@pytest.mark.parametrize("name", NAMES.split())
def test_each_override_has_its_id_in_the_bundle(bundle, name):
    method = read_methods()[name]
    parser = ConfigParser()
    configs = [*method.configs, *([] if method.trains else ["evaluate.yaml"])]
    parser.read_config([bundle / "configs" / config for config in configs])
    parser.read_meta(bundle / "configs" / "metadata.json")
    parser.resolve_macro_and_relative_ids()
    for key in method.overrides:
        parent = key.rpartition("#")[0]
        assert key in parser or (parent and isinstance(parser[parent], dict)), key


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({"max_epochs": 40}, 2000),
        ({"max_epochs": 6}, 300),
        ({"max_epochs": 40, "min_steps": 120}, 120),
        ({"max_epochs": 40, "label_epochs": 0.75}, 2000),
        ({"max_epochs": 40, "label_epochs": 10}, 2000),
    ],
    ids=str,
)
def test_a_longer_selection_makes_as_many_steps_as_all_networks_that_label_images(bundle, given, steps):
    made = {}
    for name in ("selection_longer", "soft_labels", "teacher_soft_labels"):
        parser = ConfigParser()
        parser.read_config(bundle / "configs" / "train.yaml")
        parser.update({**given, "batch_size": 1, **read_methods()[name].overrides})
        epochs = parser.get_parsed_content("train#trainer#max_epochs")
        made[name] = epochs, epochs * parser.get_parsed_content("train#dataset#min_slices")
    epochs = given["max_epochs"]
    assert made["soft_labels"] == made["teacher_soft_labels"] == (epochs, steps)
    before = {None: 20, 0.75: 30, 10: 10}[given.get("label_epochs")] * epochs / 40  # epochs of the second network
    assert made["selection_longer"] == (epochs + before, steps * (epochs + before) / epochs)


def test_what_a_method_needs_comes_before_it():
    chosen = chosen_methods(["selection_kd", "selection", "teacher"], read_methods())
    assert [method.name for method in chosen] == ["teacher", "selection_kd", "selection"]


def test_a_declaration_of_the_user_is_a_method(tmp_path):
    (tmp_path / "own.yaml").write_text("hot: {description: T 8, overrides: {temperature: 8.0}}\n")
    methods = read_methods(tmp_path / "own.yaml")
    assert methods["hot"].overrides == {"temperature": 8.0}
    assert methods["hot"].configs == ("train.yaml",)
    assert "selection" in methods


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hot: {overrides: {}}", "own.yaml: hot must be a map with a description"),
        (
            "hot: {description: x, override: {}}",
            "own.yaml: hot has unknown keys override; there are configs, description",
        ),
        ("hot: {description: x, needs: cold}", "hot needs 'cold', which is not a method"),
        ("- hot", "own.yaml: expected a map of methods"),
    ],
)
def test_a_wrong_declaration_is_named(tmp_path, text, message):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_methods(tmp_path / "own.yaml")


def test_a_missing_file_and_an_unknown_method_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="methods_file: there is no file"):
        read_methods(tmp_path / "own.yaml")
    with pytest.raises(ValueError, match="methods must be among scratch, .*; got selektion"):
        chosen_methods(["selektion"], read_methods())


def test_a_circle_is_refused(tmp_path):
    (tmp_path / "own.yaml").write_text("a: {description: x, needs: b}\nb: {description: x, needs: a}\n")
    with pytest.raises(ValueError, match="in a circle: a, b, a"):
        chosen_methods(["a"], read_methods(tmp_path / "own.yaml"))
