from __future__ import annotations

import pytest

from dwskd_monai.bundle import Bundle, check_classes
from tests.conftest import BUNDLE


def test_a_bundle_knows_its_name_classes_and_metadata():
    bundle = Bundle(BUNDLE)
    assert bundle.name == "chest_xray_classification"
    assert bundle.class_names == ["covid19", "no_findings", "pneumonia"]
    assert bundle.metadata["network_data_format"]["outputs"]["pred"]["num_channels"] == 3


def test_a_config_has_the_overrides_that_it_knows_and_is_parsed_once():
    bundle = Bundle(
        BUNDLE, {"student": "convnext_atto", "learning_rate": 0.5, "network_def#dims": [8], "resume": "true"}
    )
    train = bundle.config("train")
    assert (train["student"], train["learning_rate"], train["resume"]) == ("convnext_atto", 0.5, True)
    assert train["network_def#dims"] == [8]
    assert "learning_rate" not in bundle.config("inference")
    assert bundle.config("train") is train
    assert bundle.config("train", "evaluate")["split"] == "test"


def test_settings_are_for_one_object_and_go_before_overrides():
    bundle = Bundle(BUNDLE, {"ckpt_dir": "trained"})
    assert bundle.parsed("checkpoint", "train") == "trained/model.pt"
    assert bundle.parsed("checkpoint", "train", ckpt_dir="elsewhere") == "elsewhere/model.pt"
    assert bundle.parsed("checkpoint", "train") == "trained/model.pt"


def test_an_error_in_a_part_of_an_object_is_raised_as_it_was():
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Bundle(BUNDLE).parsed("validate#dataset", "train", "evaluate", dataset_dir="nowhere")


def test_a_folder_that_is_not_a_bundle_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"bundle: .* has no configs/metadata.json; give the"):
        Bundle(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no configs/nothing.yaml"):
        Bundle(BUNDLE).config("nothing")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("studnet", r"studnet is not an option of export, nor a setting of .*; did you mean student\?"),
        ("train#trainer#max_epoch_s", None),
        ("train#nothing", r"train#nothing is not an option of export"),
        ("validate#evaluatr", r"did you mean validate#evaluator\?"),
    ],
)
def test_an_override_that_no_config_knows_is_named_with_the_nearest(key, message):
    bundle = Bundle(BUNDLE, {key: 1})
    if message is None:  # one more argument of a component may be right
        bundle.refuse_unknown_overrides("export", "train", "inference")
    else:
        with pytest.raises(ValueError, match=message):
            bundle.refuse_unknown_overrides("export", "train", "inference")


def test_the_items_of_a_split_are_those_of_the_training(phantoms):
    bundle = Bundle(BUNDLE, {"train_fraction": 0.1})
    items = {split: bundle.items(phantoms / "datalist.csv", split) for split in ("training", "validation", "test")}
    assert sum(map(len, items.values())) == 60, "of the training images all, whatever their share"
    other = bundle.items(phantoms / "datalist.csv", "validation", fold=1)
    assert not {item["image"] for item in other} & {item["image"] for item in items["validation"]}
    assert "fold" in bundle.config("train"), "the config is as it was"
    assert bundle.config("train")["train#dataset#data#split"] == "training"


def test_a_network_with_other_classes_than_the_metadata_is_refused():
    check_classes({"0": "a", "1": "b"}, 2)
    with pytest.raises(ValueError, match=r"num_classes is 3, but configs/metadata.json names 2 classes \(a, b\)"):
        check_classes(["a", "b"], 3)
