"""The bundle's configs: what others rely on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.render import TEMPLATE
from dwskd_monai.data.cache import describe
from dwskd_monai.preprocessing import PREPROCESSING_VERSION
from tests.bundles.commands import SMALL_SETTINGS, save_network
from tests.conftest import BUNDLES, REPOSITORY, tiny_convnext

CONFIG_FILES = [path for bundle in BUNDLES for path in sorted((bundle / "configs").glob("*.yaml"))]
each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
each_config = pytest.mark.parametrize("path", CONFIG_FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")


def parser(bundle: Path, *names: str) -> ConfigParser:
    result = ConfigParser()
    result.read_config([bundle / "configs" / f"{name}.yaml" for name in names])
    result.read_meta(bundle / "configs" / "metadata.json")
    result["bundle_root"] = str(bundle)
    return result


@each_config
def test_no_key_is_written_twice(path, monkeypatch):
    monkeypatch.setenv("MONAI_FAIL_ON_DUPLICATE_CONFIG", "1")
    ConfigParser.load_config_file(path)


@each_bundle
def test_images_are_mirrored_left_to_right_and_hounsfield_units_keep_their_meaning(bundle):
    config = parser(bundle, "train")
    image = torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(0))
    config["flip_prob"] = 1.0
    mirrored, _, gamma, _ = config.get_parsed_content("train#random_transforms")
    assert torch.equal(mirrored({"image": image})["image"], image.flip(-1))
    gamma.set_random_state(0)
    changed = any(not torch.equal(gamma({"image": image})["image"], image) for _ in range(20))
    assert changed == (not config["hounsfield"])


@pytest.mark.parametrize("setting", ["flip_prob", "gamma_prob"])
def test_a_percentage_is_no_probability(setting):
    config = parser(BUNDLES[0], "train")
    config[setting] = 50
    with pytest.raises(RuntimeError) as refused:  # of MONAI, which names the part of the config
        config.get_parsed_content("train#random_transforms")
    assert str(refused.value.__cause__) == f"{setting} must be in [0, 1]; got 50"


@each_bundle
def test_the_ids_that_others_rely_on_are_there(bundle):
    config = parser(bundle, "train")
    ids = ["bundle_root", "device", "dataset_dir", "output_dir", "ckpt_dir", "val_interval", "network_def", "network"]
    shared = [
        "dataset",
        "dataset#data",
        "dataloader",
        "inferer",
        "preprocessing",
        "postprocessing",
        "handlers",
        "key_metric",
    ]
    ids += [f"train#{name}" for name in [*shared, "trainer", "trainer#max_epochs"]]
    ids += [f"validate#{name}" for name in [*shared, "evaluator"]]
    ids += ["initialize", "run", "training"]
    assert [name for name in ids if name not in config] == []
    (validation,) = [handler for handler in config["train#handlers"] if handler["_target_"] == "ValidationHandler"]
    assert validation["interval"] == "@val_interval"
    for name in ("train#handlers", "validate#handlers"):
        assert isinstance(config[name], list)


@each_config
def test_no_code_hides_in_expressions(path):
    text = "\n".join(line.split(" #")[0] for line in path.read_text().splitlines() if not line.startswith("#"))
    assert "lambda" not in text
    assert not re.search(r"\$.*\bfor\b", text)


@pytest.mark.parametrize(
    ("overlay", "switch", "handlers", "disabled"),
    [
        ("train_teacher", "one_student", "train#handlers", ["BetterStudentHandler"]),
        (
            "multi_gpu_train",
            "not_first",
            "train#handlers",
            ["ProgressBar", "EpochLogHandler", "TensorBoardStatsHandler"],
        ),
        ("multi_gpu_train", "not_first", "validate#handlers", ["TensorBoardStatsHandler"]),
        ("combine_students", "network_has_weights", "handlers", ["CheckpointLoader", "RefuseReplacedWeights"]),
    ],
)
@each_bundle
def test_overlays_disable_the_handlers_that_they_mean(bundle, overlay, switch, handlers, disabled):
    base = parser(bundle, "train", "evaluate")
    assert base[switch] is False
    assert parser(bundle, "train", "evaluate", overlay)[switch] is not False
    switched = [item for item in base[handlers] if isinstance(item, dict) and item.get("_disabled_") == f"@{switch}"]
    assert [item["_target_"].split(".")[-1] for item in switched] == disabled


def test_nothing_addresses_an_item_of_a_list_by_its_number():
    """Another item put before it would silently move the override to the wrong item."""
    folders = [REPOSITORY / name for name in ("benchmarks", "bundles", "docs", "dwskd_monai", "tests", "tools")]
    files = [REPOSITORY / "Makefile", REPOSITORY / "README.md"]
    for folder in folders:
        files += [path for path in folder.rglob("*") if path.suffix in (".md", ".py", ".sh", ".yaml")]
    numbered = re.compile(r"[a-z_]#\d+\b")
    assert [path for path in files if "golden" not in path.parts and numbered.search(path.read_text())] == []


@each_bundle
def test_overlays_change_only_what_is_there(bundle):
    """A key that does not exist would be ignored without a word."""
    new = {
        "train_teacher": set(),
        "evaluate": {"split", "network_has_weights", "evaluator", "evaluating", "handlers", "trained",
                     "allow_trained_images", "evaluated_weights", "report_settings", "evidence", "report", "shortcuts",
                     "explained", "other_network", "other_images"},
        "against": {"against", "other", "other_dataset", "other_aggregation"},
        "evaluate_exported": {"exported"},
        "combine_students": {"combine"},
        "multi_gpu_train": {"backend", "timeout_minutes", "train#sampler", "train#dataloader#sampler",
                            "validate#sampler", "validate#dataloader#sampler", "finalize"},
        "demo": set(),
    }  # fmt: skip
    for name, added in new.items():
        below = ["evaluate"] if name in ("evaluate_exported", "combine_students", "against") else []
        base = parser(bundle, "train", *below)
        for key in ConfigParser.load_config_file(bundle / "configs" / f"{name}.yaml"):
            if key not in added:
                assert key in base, f"{name}.yaml: {key}"


@pytest.mark.slow
@each_bundle
def test_before_any_training_inference_has_what_train_yaml_would_train(bundle):
    train, inference = parser(bundle, "train"), parser(bundle, "inference")
    trained = inference.get_parsed_content("trained")
    for key in ("student", "image_size", "in_chans", "num_classes", "slice_axis", "keep_aspect"):
        assert trained[key] == train[key], key
    shapes = []
    for config in (train, inference):
        shapes.append(
            {name: value.shape for name, value in config.get_parsed_content("network_def").state_dict().items()}
        )
    assert shapes[0] == shapes[1]
    made = [[describe(one) for one in config.get_parsed_content("study_transforms")] for config in (train, inference)]
    assert made[0] == made[1]


@each_bundle
def test_the_demo_trains_what_the_teacher_can_give(bundle):
    demo = parser(bundle, "train", "demo")
    assert demo["teacher"].split("_")[0] == demo["student"].split("_")[0]


@each_bundle
def test_the_header_is_short_and_the_input_has_a_channel_per_window(bundle):
    header = TEMPLATE / "headers" / f"{bundle.name}.yaml"
    assert len(header.read_text().splitlines()) <= 40
    config = parser(bundle, "train")
    formats = config["_meta_#network_data_format"]
    assert config["in_chans"] == formats["inputs"]["image"]["num_channels"] == len(config.get("windows", [None]))
    assert config["num_classes"] == len(formats["outputs"]["pred"]["channel_def"])


@pytest.mark.parametrize("memory_format", ["contiguous_format", "channels_last"])
@pytest.mark.parametrize(
    ("name", "key"), [("train", "network"), ("train", "auxiliary_network"), ("inference", "network")]
)
@each_bundle
def test_networks_have_the_memory_format_of_the_config(bundle, name, key, memory_format):
    config = parser(bundle, name)
    if name == "train":
        config["student"] = "mobilenetv3_small_050"
    config["memory_format"] = f"$torch.{memory_format}"
    kernels = [weight for weight in config.get_parsed_content(key).parameters() if weight.dim() == 4]
    assert kernels
    assert all(weight.is_contiguous(memory_format=getattr(torch, memory_format)) for weight in kernels)


@each_bundle
def test_students_of_an_overridden_network_are_combined(bundle, tmp_path):
    """Overrides come after the overlay's own keys: it must not be the network's key that the overlay changes."""
    network = tiny_convnext(num_classes=len(Bundle(bundle).class_names))
    save_network(network, tmp_path, bundle, **SMALL_SETTINGS)
    config = parser(bundle, "train", "evaluate", "combine_students")
    config["network"] = "$@network_def.to(@device).eval()"
    config["checkpoint"], config["training_state"] = str(tmp_path / "model.pt"), str(tmp_path / "state.pt")
    main, auxiliary = (config.get_parsed_content(key).state_dict() for key in ("network", "auxiliary_network"))
    saved = [{name: torch.randn_like(value.float()).to(value.dtype) for name, value in state.items()}
             for state in (main, auxiliary)]  # fmt: skip
    torch.save(saved[0], tmp_path / "model.pt")
    networks = dict(zip(("network", "auxiliary_network"), saved, strict=True))
    torch.save({**networks, "trainer": {"students": 2}}, tmp_path / "state.pt")
    both = config.get_parsed_content("evaluator#network")
    for part in ("shortcuts", "explanations"):
        (report,) = [handler for handler in config["handlers"] if part in handler]
        assert config.get_parsed_content(report[part]["network"].removeprefix("@")) is both, "the report is of both"
    students = both.networks
    for student, expected in zip(students, saved, strict=True):
        torch.testing.assert_close(dict(student.state_dict()), expected, rtol=0, atol=0)


@each_bundle
def test_a_run_is_alone_where_it_writes(bundle):
    for names, folders in (
        (["train"], ["@ckpt_dir", "@output_dir"]),
        (["train", "evaluate"], ["@output_dir"]),
        (["inference"], ["@output_dir"]),
    ):
        assert parser(bundle, *names)["run"][0]["alone_in"] == folders


def test_configs_are_ascii_so_that_any_locale_reads_them():
    for path in (REPOSITORY / "bundles").glob("*/configs/*"):
        assert path.read_bytes().isascii(), path


@each_bundle
def test_a_training_records_the_version_of_its_pixels(bundle):
    assert parser(bundle, "train")["preprocessing_version"] == PREPROCESSING_VERSION
