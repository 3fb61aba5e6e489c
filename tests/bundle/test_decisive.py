"""Which settings decide a prediction: found in a config by what the network and the transforms refer to."""

from __future__ import annotations

import pytest
from monai.bundle import ConfigParser

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.decisive import decisive_settings, put_back_taken_roots
from tests.conftest import BUNDLES

CONFIG = {
    "size": 8,
    "own": {"low": 1, "high": "$@size * 2"},
    "learning_rate": 0.1,
    "device": "$__import__('torch').device('cpu')",
    "network_def": {"_target_": "torch.nn.Linear", "in_features": "@size", "out_features": "@own#high"},
    "network": "$@network_def.to(@device)",
    "deploy": "better",
    "study_transforms": ["@scale", {"_target_": "Resized", "keys": "image", "spatial_size": ["@size", "@size"]}],
    "scale": {"_target_": "ScaleIntensityd", "keys": "image", "minv": "@own#low"},
    "dicom_series": True,
    "aggregation": {"_target_": "dict", "method": "mean"},
}


def test_what_is_referred_to_counts_and_has_its_value():
    scale = {"_target_": "ScaleIntensityd", "keys": "image", "minv": 1}
    assert decisive_settings(ConfigParser(CONFIG)) == {
        "size": 8,
        "own#low": 1,
        "own#high": 16,
        "scale": scale,
        "network_def": {"_target_": "torch.nn.Linear", "in_features": 8, "out_features": 16},
        "deploy": "better",
        "study_transforms": [scale, {"_target_": "Resized", "keys": "image", "spatial_size": [8, 8]}],
        "dicom_series": True,
        "aggregation": {"_target_": "dict", "method": "mean"},
    }


def test_what_is_no_plain_value_stays_as_it_is_written():
    dtype = "$__import__('torch').float16"
    config = CONFIG | {"aggregation": {"_target_": "dict", "dtype": dtype}}
    assert decisive_settings(ConfigParser(config))["aggregation"]["dtype"] == dtype


@pytest.mark.parametrize("name", ["network_def", "deploy", "study_transforms", "dicom_series", "aggregation"])
def test_a_config_without_a_root_is_refused(name):
    config = {key: value for key, value in CONFIG.items() if key != name}
    with pytest.raises(ValueError, match=f"{name} is missing in the config"):
        decisive_settings(ConfigParser(config))


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_bundles_settings_are_all_there(bundle):
    settings = decisive_settings(Bundle(bundle, {"network_def#dims": [8, 16]}).config("train"))
    assert {
        "student", "in_chans", "num_classes", "image_size", "keep_aspect", "slice_axis", "spacing_tolerance",
        "dicom_series", "intensity", "intensity_mean", "intensity_std", "aggregate", "top_k",
    } <= set(settings)  # fmt: skip
    assert settings["network_def"]["dims"] == [8, 16]
    assert not {"learning_rate", "max_epochs", "device", "batch_size", "slices_per_study"} & set(settings)


def test_a_function_that_a_command_repeats_is_replaced_also_in_a_copy():
    room = "dwskd_monai.bundle"
    taken = {"_target_": f"{room}.trained_network", "trained": "@trained"}
    repeated = {"network_def": taken | {"_target_": "own.create_model"}, "auxiliary_def": "%network_def"}
    parser = ConfigParser({"trained": {"_target_": f"{room}.open_trained"}, **repeated, "other_def": {"trained": "no"}})
    parser.parse()
    assert parser["auxiliary_def"]["_target_"] == "own.create_model"
    put_back_taken_roots(parser)
    assert parser["network_def"] == parser["auxiliary_def"] == taken
    assert parser["other_def"] == {"trained": "no"}
