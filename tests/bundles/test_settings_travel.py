"""What a training was told is used untold by everything after it, and a contradiction is refused.

Each of the contradictions ended with exit code 0 once, and with other predictions.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch
import yaml

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.settings_file import digest_of, read_settings
from dwskd_monai.data import load_split
from dwskd_monai.data.phantoms import make_phantoms
from tests.bundles.commands import SMALL_SETTINGS
from tests.conftest import BUNDLES, tiny_convnext

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("settings travel")]

CHEST, LUNG, _ = BUNDLES
COUNT = {CHEST: 60, LUNG: 40}  # phantoms: the fewest
SMALL = {key: value for key, value in SMALL_SETTINGS.items() if key != "num_workers"}
# What is not the default of the bundle, and what a network sees and says depends on
TOLD = {
    CHEST: {**SMALL, "keep_aspect": True, "percentiles": [5, 95], "intensity_mean": 0.3, "intensity_std": 0.4},
    LUNG: {**SMALL, "windows": [[400, 40]], "slice_axis": "coronal", "aggregate": "max"},
}
TRAINING = {
    "teacher_weights": "random",
    "first_weights#_disabled_": True,
    "auxiliary": "none",
    "max_epochs": 2,
    "min_steps": 0,
    "warmup_epochs": 0,
    "batch_size": 8,
}


def run(bundle: Path, *configs: str, **settings: Any) -> None:
    """``python -m monai.bundle run``, in this process."""
    files = [str(bundle / "configs" / f"{name}.yaml") for name in configs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's and torch's own
        monai.bundle.run(run_id="run", config_file=files, logging_file=False, device="cpu", **settings)


def refused(bundle: Path, *configs: str, **settings: Any) -> str:
    """The messages of a run that is refused."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  the message is what is tested
        run(bundle, *configs, **settings)
    messages = []
    error: BaseException | None = caught.value
    while error is not None:
        messages.append(str(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(messages)


def made_in_python(**options: Any) -> None:
    """Run a workflow as a script of a user's own does."""
    workflow = monai.bundle.ConfigWorkflow(**options)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


class Trained:
    """A bundle that was trained on phantoms.

    Args:
        source: the bundle, which is copied.
        folder: of the copy, the phantoms and all that is written.
    """

    def __init__(self, source: Path, folder: Path) -> None:
        self.bundle = folder / source.name
        shutil.copytree(source / "configs", self.bundle / "configs")
        self.data = folder / "phantoms"
        make_phantoms(source.name.removesuffix("_classification"), self.data, count=COUNT[source])
        self.folder = folder
        self.places = {"cache_dir": str(folder / "cache"), "num_workers": 0}
        self.told = TOLD[source]
        run(self.bundle, "train", dataset_dir=str(self.data / "train"), **self.places, **TRAINING, **self.told)
        self.predictions = self.predict("once")

    @property
    def weights(self) -> Path:
        return self.bundle / "models" / "model.pt"

    def predict(self, name: str, **settings: Any) -> bytes:
        out = self.folder / name
        run(self.bundle, "inference", **{"dataset_dir": str(self.data / "test"), "output_dir": str(out)} | settings)
        return (out / "predictions.csv").read_bytes()

    def evaluate(self, name: str, **settings: Any) -> dict[str, Any]:
        options = {"dataset_dir": str(self.data), "output_dir": str(self.folder / name), **self.places} | settings
        run(self.bundle, "train", "evaluate", report=False, **options)
        return json.loads((self.folder / name / "metrics.json").read_text())


@pytest.fixture(scope="module")
def chest(tmp_path_factory) -> Trained:
    return Trained(CHEST, tmp_path_factory.mktemp("chest"))


@pytest.fixture(scope="module")
def lung(tmp_path_factory) -> Trained:
    return Trained(LUNG, tmp_path_factory.mktemp("lung"))


@pytest.fixture(scope="module", params=["chest", "lung"])
def trained(request) -> Trained:
    return request.getfixturevalue(request.param)


def test_the_settings_are_beside_the_weights_and_name_no_place_and_no_patient(trained):
    settings = read_settings(trained.weights)
    for key, value in trained.told.items():
        settings.check({key: value})
    text = trained.weights.with_suffix(".yaml").read_text()
    assert str(trained.folder) not in text
    content = yaml.safe_load(text)
    assert content["weights"]["sha256"] == digest_of(trained.weights)
    assert content["training"]["best"]["metric"] == "balanced_accuracy"
    assert content["training"]["overrides"]["max_epochs"] == 2
    assert set(content["training"]["images"]) == {"training", "validation"}


def test_all_settings_repeated_give_the_same_bytes(trained):
    told = {**trained.told, "network_def#_target_": "timm.create_model"}
    assert trained.predict("repeated", **told) == trained.predictions


def test_evaluation_predicts_what_inference_predicts(chest):
    metrics = chest.evaluate("evaluated", split="test")
    rows = [row.split(",") for row in (chest.folder / "evaluated" / "predictions.csv").read_text().splitlines()]
    without_labels = sorted(",".join([row[0], *row[2:]]) for row in rows)
    assert without_labels == sorted(chest.predictions.decode().splitlines())
    assert metrics["weights_sha256"] == digest_of(chest.weights)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_size", 64),
        ("keep_aspect", False),
        ("percentiles", [0.5, 99.5]),
        ("intensity_mean", 0.449),
        ("intensity_std", 0.226),
        ("student", "convnext_femto"),
        ("network_def#dims", [8, 16, 24, 40]),
        ("network_def#_target_", "timm.create_model_2"),
    ],
)
@pytest.mark.parametrize("configs", [("inference",), ("train", "evaluate")], ids="+".join)
def test_a_setting_that_contradicts_is_refused(chest, configs, key, value):
    out = chest.folder / "refused"
    said = refused(
        chest.bundle, *configs, **{"dataset_dir": str(chest.data), "output_dir": str(out), key: value} | chest.places
    )
    assert f"{key}: {chest.weights} was trained with " in said
    assert f", got {value!r}; leave {key} out" in said
    assert not out.exists()


@pytest.mark.parametrize(("key", "value"), [("windows", [[1500, -600]]), ("slice_axis", "axial")])
def test_a_setting_of_volumes_that_contradicts_is_refused(lung, key, value):
    assert f"{key}: {lung.weights} was trained with " in refused(lung.bundle, "inference", **{key: value})


def test_another_aggregation_is_said_and_recorded(lung, caplog):
    with caplog.at_level(logging.INFO, "dwskd_monai.bundle.trained_settings"):
        assert lung.predict("mean", aggregate="mean") != lung.predictions
    assert "aggregate is 'mean' here, but was 'max' in the training" in caplog.text
    for name, method in (("mean", "mean"), ("once", "max")):
        origin = json.loads((lung.folder / name / "predictions.json").read_text())
        assert origin["aggregation"]["method"] == method
        assert origin["weights_sha256"] == digest_of(lung.weights)


@pytest.mark.parametrize("started", [monai.bundle.run_workflow, made_in_python], ids=["run_workflow", "Python"])
@pytest.mark.parametrize(
    ("configs", "settings", "message"),
    [
        (("inference",), {"image_size": 64}, "image_size: {weights} was trained with 32, got 64"),
        (("inference",), {"imagesize": 64}, "imagesize is not a setting of "),
        (("train", "evaluate"), {"intensity_std": 0.7}, "intensity_std: {weights} was trained with 0.4, got 0.7"),
        (("train", "evaluate"), {"network_def#dims": [8, 16, 24, 40]}, "network_def#dims: {weights} was trained with"),
        (("train", "evaluate"), {"splt": "validation"}, "splt is not a setting of "),
    ],
)
def test_another_way_to_start_a_workflow_is_checked_too(chest, started, configs, settings, message):
    files = [str(chest.bundle / "configs" / f"{name}.yaml") for name in configs]
    options = {"dataset_dir": str(chest.data), "output_dir": str(chest.folder / "refused")}
    with warnings.catch_warnings(), pytest.raises((RuntimeError, ValueError)) as caught:
        warnings.simplefilter("ignore")
        started(config_file=files, logging_file=False, **options, **settings)
    said = str(caught.value.__cause__ or caught.value)
    assert message.format(weights=chest.weights) in said


@pytest.mark.parametrize("started", [monai.bundle.run_workflow, made_in_python], ids=["run_workflow", "Python"])
def test_another_way_to_start_a_workflow_predicts_the_same(trained, started):
    out = trained.folder / started.__name__
    options = {"dataset_dir": str(trained.data / "test"), "output_dir": str(out), **trained.told}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = str(trained.bundle / "configs" / "inference.yaml")
        started(config_file=files, logging_file=False, **options)
    assert (out / "predictions.csv").read_bytes() == trained.predictions


def test_a_setting_in_a_config_file_counts_too(chest, tmp_path):
    (tmp_path / "mine.yaml").write_text("image_size: 64\n")
    files = [str(chest.bundle / "configs" / "inference.yaml"), str(tmp_path / "mine.yaml")]
    with warnings.catch_warnings(), pytest.raises(RuntimeError) as caught:
        warnings.simplefilter("ignore")
        monai.bundle.run(run_id="run", config_file=files, logging_file=False)
    assert "image_size: " in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        (("inference",), "imagesize is not a setting of inference.yaml; did you mean image_size"),
        (("train", "evaluate"), "imagesize is not a setting of train.yaml, evaluate.yaml; did you mean image_size"),
        (("train",), "imagesize is not a setting of train.yaml; did you mean image_size"),
    ],
)
def test_a_typing_error_is_refused(chest, configs, message):
    assert message in refused(chest.bundle, *configs, imagesize=96, dataset_dir=str(chest.data))


@pytest.fixture
def copy(chest, tmp_path) -> Trained:
    """The trained bundle, to be damaged."""
    copied = object.__new__(Trained)
    copied.__dict__.update(chest.__dict__)
    copied.bundle = tmp_path / chest.bundle.name
    shutil.copytree(chest.bundle, copied.bundle)
    return copied


@pytest.mark.parametrize("configs", [("inference",), ("train", "evaluate")], ids="+".join)
@pytest.mark.parametrize("names", [["no_findings", "covid19", "pneumonia"], ["covid", "no_findings", "pneumonia"]])
def test_classes_that_were_reordered_or_renamed_are_refused(copy, configs, names):
    path = copy.bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"] = dict(zip("012", names))
    path.write_text(json.dumps(metadata))
    said = refused(copy.bundle, *configs, dataset_dir=str(copy.data))
    assert f"covid19, no_findings, pneumonia, but configs/metadata.json now names {', '.join(names)}" in said


@pytest.mark.parametrize("configs", [("inference",), ("train", "evaluate")], ids="+".join)
def test_weights_of_another_training_are_refused(copy, configs):
    torch.save(tiny_convnext().state_dict(), copy.weights)
    assert "model.yaml has the settings of other weights" in refused(copy.bundle, *configs, dataset_dir=str(copy.data))


def test_weights_without_settings_are_refused(copy):
    copy.weights.with_suffix(".yaml").unlink()
    assert "model.pt has no trained settings" in refused(copy.bundle, "inference", dataset_dir=str(copy.data))


@pytest.mark.parametrize("configs", [("inference",), ("train", "evaluate")], ids="+".join)
def test_a_bundle_that_was_not_trained_says_so(copy, configs):
    copy.weights.unlink()
    said = refused(copy.bundle, *configs, dataset_dir=str(copy.data))
    assert f"{copy.weights} does not exist; train the bundle first" in said


@pytest.mark.parametrize("choice", [{}, {"seed": 1}, {"fold": 2}])
def test_validation_is_of_the_trainings_images_whatever_is_chosen(chest, choice):
    expected = set(read_settings(chest.weights).images["validation"])
    count = chest.evaluate("validation", split="validation", dataset_dir=str(chest.data / "train"), **choice)
    assert count["study"]["overall"]["count"] == len(expected)
    assert count["trained_images"] is False


def test_images_that_were_trained_on_are_refused_unless_they_are_allowed(chest):
    data = str(chest.data / "train")
    said = refused(chest.bundle, "train", "evaluate", split="all", dataset_dir=data, **chest.places)
    assert "split all: the network was trained on " in said
    assert chest.evaluate("all", split="all", dataset_dir=data, allow_trained_images=True)["trained_images"] is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fold": 1}, "fold: 0, now 1; training images: "),
        ({"learning_rate": 0.5}, "learning_rate: 0.0005, now 0.5"),
        ({"image_size": 64}, "image_size: 32, now 64"),
        ({"max_epochs": 1}, "max_epochs: 2, now only 1"),
        ({"train#dataloader#batch_size": 4}, "train#dataloader#batch_size: '@batch_size', now 4"),
        ({"train#random_transforms": []}, "train#random_transforms: [{'_target_': 'RandFlipd'"),
    ],
)
def test_a_training_is_not_resumed_with_other_settings(copy, changes, message):
    before = copy.weights.read_bytes()
    settings = {"dataset_dir": str(copy.data / "train"), "resume": True, **copy.places, **TRAINING, **copy.told}
    said = refused(copy.bundle, "train", **settings | changes)
    assert "settings differ from those of the training: " in said
    assert message in said
    assert copy.weights.read_bytes() == before


def test_a_training_is_resumed_for_more_epochs_wherever_its_images_lie(copy, tmp_path):
    moved = shutil.copytree(copy.data / "train", tmp_path / "elsewhere")
    settings = {"resume": True, **copy.places, **TRAINING, **copy.told, "max_epochs": 3, "dataset_dir": str(moved)}
    settings |= {"num_workers": 1, "train#dataloader#num_workers": 0}
    run(copy.bundle, "train", **settings)
    state = torch.load(copy.bundle / "models" / "training_state.pt", weights_only=True)
    assert state["trainer"]["epoch"] == 3
    assert read_settings(copy.weights).sha256 == digest_of(copy.weights)


def test_what_was_there_before_keeps_its_own_settings(copy):
    former = read_settings(copy.weights)
    settings = {"dataset_dir": str(copy.data / "train"), **copy.places, **TRAINING, **copy.told}
    run(copy.bundle, "train", **settings | {"image_size": 40, "seed": 5})
    assert read_settings(copy.weights)["image_size"] == 40
    previous = read_settings(copy.weights.parent / "earlier" / "1" / "model.pt")
    assert dict(previous) == dict(former)
    assert copy.predict("previous", checkpoint=str(previous.weights)) == copy.predictions


def test_monais_own_commands_know_the_network(chest, tmp_path, monkeypatch):
    """From another folder, by the files alone."""
    monkeypatch.chdir(tmp_path)
    files = {
        "config_file": str(chest.bundle / "configs" / "inference.yaml"),
        "meta_file": str(chest.bundle / "configs" / "metadata.json"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        monai.bundle.verify_net_in_out("network_def", **files, device="cpu")
        monai.bundle.ckpt_export(
            "network_def",
            filepath="model.ts",
            ckpt_file=str(chest.weights),
            **files,
            converter_kwargs={"use_trace": False},
        )
        scripted = torch.jit.load("model.ts")
    saved = torch.load(chest.weights, weights_only=True)
    assert all(torch.equal(value, saved[name]) for name, value in scripted.state_dict().items())


OWN_TRANSFORMS = """
study_transforms:
- {_target_: CopyItemsd, keys: image, names: file}
- {_target_: dwskd_monai.preprocessing.LoadSlicesd, keys: image, slice_axis: "@slice_axis"}
- {_target_: dwskd_monai.preprocessing.FitSlicesd, keys: image, spatial_size: "@image_size"}
"""


def test_transforms_of_a_later_config_are_compared_with_all_that_they_refer_to(chest, tmp_path):
    (tmp_path / "mine.yaml").write_text(OWN_TRANSFORMS)
    files = [str(chest.bundle / "configs" / f"{name}.yaml") for name in ("train", "evaluate")]
    with warnings.catch_warnings(), pytest.raises(RuntimeError) as caught:
        warnings.simplefilter("ignore")
        monai.bundle.run(
            run_id="run",
            config_file=[*files, str(tmp_path / "mine.yaml")],
            logging_file=False,
            dataset_dir=str(chest.data),
            **chest.places,
        )
    assert "study_transforms: " in str(caught.value.__cause__)
    assert "was trained with" in str(caught.value.__cause__)


@pytest.mark.parametrize("configs", [("inference",), ("train", "evaluate")], ids="+".join)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_names": ["no_findings", "covid19", "pneumonia"]}, "now names no_findings, covid19, pneumonia"),
        ({"trained#weights": "other.pt"}, "trained#weights: what a network was trained with cannot be set"),
    ],
)
def test_what_goes_around_the_settings_is_refused(chest, configs, settings, message):
    assert message in refused(chest.bundle, *configs, dataset_dir=str(chest.data), **chest.places, **settings)


def test_settings_of_an_args_file_are_compared_too(chest, tmp_path):
    (tmp_path / "args.yaml").write_text("image_size: 999\n")
    assert "image_size: " in refused(chest.bundle, "inference", args_file=str(tmp_path / "args.yaml"))


def test_an_exported_network_is_not_evaluated_without_the_settings(copy):
    copy.weights.rename(copy.weights.with_name("elsewhere.pt"))
    said = refused(
        *(copy.bundle, "train", "evaluate", "evaluate_exported"),
        **{"dataset_dir": str(copy.data), "exported": "model.ts"} | copy.places,
    )
    assert f"{copy.weights} does not exist; train the bundle first" in said


def test_metrics_say_when_images_may_have_been_trained_on(chest):
    assert chest.evaluate("trained", split="training", dataset_dir=str(chest.data / "train"))["trained_images"] is True
    assert chest.evaluate("untrained", split="test")["trained_images"] is False


def test_a_training_that_ends_with_the_same_weights_renews_their_settings(copy):
    copy.weights.with_suffix(".yaml").unlink()
    run(copy.bundle, "train", dataset_dir=str(copy.data / "train"), **copy.places, **TRAINING, **copy.told)
    assert read_settings(copy.weights).sha256 == digest_of(copy.weights)


def test_lists_of_images_and_nested_paths_are_not_recorded(copy, tmp_path):
    items = load_split(copy.data / "train", Bundle(copy.bundle).class_names, "training")
    run(
        copy.bundle,
        "train",
        **{"train#dataset#data": items, "validate#dataset#data": items, "translate_range": [3, 3]},
        **{"dataset_dir": str(copy.data / "train"), "seed": 9} | copy.places | TRAINING | copy.told,
    )
    text = copy.weights.with_suffix(".yaml").read_text()
    assert "translate_range: [3, 3]" in text
    assert str(copy.data) not in text
    assert len(read_settings(copy.weights).images["training"]) == len(items)
