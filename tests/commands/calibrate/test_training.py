"""Which training ``dwskd calibrate`` repeats, and what it refuses since it would be another one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.decisive import decisive_settings
from dwskd_monai.bundle.settings_file import digest_of as digest_of_file
from dwskd_monai.bundle.settings_file import read_settings, settings_beside, write_settings
from dwskd_monai.bundle.settings_record import digest_of_datalist
from dwskd_monai.bundle.training_config import digest_of_training
from dwskd_monai.commands.calibrate.folds import FoldTrainings
from dwskd_monai.commands.calibrate.training import RepeatedTraining
from dwskd_monai.commands.pack.configs import packed_configs
from dwskd_monai.data.datalist import load_split
from dwskd_monai.data.evaluation_split import digests_of
from dwskd_monai.files import read_json
from tests.commands.calibrate.conftest import CLASSES, changed, content_of, rows_of, write_content, write_rows
from tests.conftest import BUNDLE

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("calibrate")]


def repeated(models: Path, data: Path, bundle: Path = BUNDLE, **given: object) -> RepeatedTraining:
    return RepeatedTraining(bundle, str(data), {"ckpt_dir": str(models), **{k: str(v) for k, v in given.items()}})


@pytest.fixture
def data(phantoms) -> Path:
    return phantoms / "datalist.csv"


@pytest.fixture
def bundle(tmp_path) -> Path:
    """A copy of the bundle, whose settings may be changed."""
    return Path(shutil.copytree(BUNDLE, tmp_path / "bundle", ignore=shutil.ignore_patterns("models", "cache", "eval")))


@pytest.mark.parametrize(
    ("before", "now", "named"),
    [
        ("intensity_mean: 0.449", "intensity_mean: 0.5", r" \(.*intensity_mean\);"),
        ("learning_rate: 0.0005", "learning_rate: 0.05", ";"),
        ("    prob: 0.8\n", "    prob: 0.1\n", ";"),
        ("num_workers: 2", "num_workers: 5", None),
        ("operating_point: youden", "operating_point: null", None),
        ("fold: 0", "fold: 1", None),
    ],
)
def test_a_config_that_was_changed_after_the_training_is_refused(models, data, bundle, before, now, named):
    file = bundle / "configs" / "train.yaml"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, now, 1))
    if named is None:
        repeated(models, data, bundle)
        return
    with pytest.raises(ValueError, match=rf"train\.yaml: its settings are not those of the training{named}"):
        repeated(models, data, bundle)


def pack_configs(models: Path, bundle: Path) -> None:
    """Give a bundle the configs of a packed one."""
    for name, text in packed_configs(Bundle(BUNDLE), read_settings(models / "model.pt")).items():
        (bundle / name).write_text(text)


@pytest.mark.parametrize("network", ["recorded", "of train.yaml"])
def test_a_packed_bundle_can_repeat_its_training(models, data, bundle, network):
    if network == "of train.yaml":  # as by a training that overrides nothing of it
        content = content_of(models)
        overrides = content["training"]["overrides"]
        for key in [key for key in overrides if key.startswith(("network_def", "auxiliary_def", "student"))]:
            del overrides[key]
        content["settings"] = settings = decisive_settings(Bundle(BUNDLE, overrides).config("train"))
        content["training"]["settings_sha256"] = digest_of_training(overrides, BUNDLE, settings)
        write_content(models, content)
    pack_configs(models, bundle)
    one, other = repeated(models, data), repeated(models, data, bundle)
    assert one.identity() == other.identity()


def test_how_one_run_was_started_is_neither_repeated_nor_packed(models, data, bundle):
    content = content_of(models)
    content["training"]["overrides"] |= {
        "resume": True,
        "device": {"_target_": "dwskd_monai.training.start_process_group", "backend": "@backend"},
        "backend": "gloo",
        "train#dataloader#drop_last#images": "@train::sampler",
    }
    before = repeated(models, data).settings
    write_content(models, content)
    assert repeated(models, data).settings == before
    pack_configs(models, bundle)
    packed = yaml.safe_load((bundle / "configs/train.yaml").read_text())
    assert packed["resume"] is False
    assert packed["device"].startswith("$torch.device(")
    assert packed["train"]["dataloader"]["drop_last"]["images"] == "@train#dataset"


def test_folds_that_the_data_names_are_repeated(models, data, phantoms, tmp_path):
    rows = [row | {"image": str(phantoms / row["image"])} for row in rows_of(data)]
    of_class = {label: sorted({row["patient"] for row in rows if row["label"] == label}) for label in CLASSES}
    number = {patient: index % 3 + 1 for patients in of_class.values() for index, patient in enumerate(patients)}
    named = [row | {"fold": "" if row["split"] == "test" else number[row["patient"]]} for row in rows]
    assert repeated(models, data).folds == [0, 1]
    assert repeated(models, write_rows(tmp_path / "named.csv", named)).folds == [1, 2, 3]
    first = next(row for row in named if row["split"] != "test")
    without = [row | ({"fold": ""} if row["patient"] == first["patient"] else {}) for row in named]
    count = sum(row["patient"] == first["patient"] for row in named)
    with pytest.raises(ValueError, match=f"names folds, but {count} training images have none"):
        repeated(models, write_rows(tmp_path / "without.csv", without))


def with_a_teacher(models: Path, learned: list[str]) -> Path:
    """A file of a teacher that the training has started from, by its settings, and that has learned from images."""
    teacher = models.parent / "teacher.pt"
    torch.save({}, teacher)
    trained = read_settings(models / "model.pt")
    images = {"training": learned, "validation": [], "unlabeled": [], "earlier": []}
    write_settings(settings_beside(teacher), teacher, trained, trained.class_names, {"images": images})
    content = content_of(models)
    content["training"]["teacher"]["sha256"] = digest_of_file(teacher)
    write_content(models, content)
    return teacher


def test_that_the_teacher_had_learned_from_the_images_is_said(models, data):
    images = content_of(models)["training"]["images"]
    labeled = len(images["training"]) + len(images["validation"])
    assert repeated(models, data).start == ""
    teacher = with_a_teacher(models, images["training"])
    start = repeated(models, data, teacher_weights=teacher).start
    assert f"had already learned from {len(images['training'])} of these {labeled} images" in start


def test_a_training_that_went_on_from_another_network_is_not_repeated(models, data):
    content = content_of(models)
    for earlier in (["a" * 40], None):
        content["training"]["images"]["earlier"] = earlier
        write_content(models, content)
        with pytest.raises(ValueError, match="started from a network of an earlier training"):
            repeated(models, data)
    content["training"]["images"]["earlier"] = ["a" * 40]
    write_content(models, content)
    teacher = with_a_teacher(models, ["a" * 40])
    assert repeated(models, data, teacher_weights=teacher).start == "", "the folds start from it, too"
    content = content_of(models)
    content["training"]["started_from"] = "b" * 64
    write_content(models, content)
    with pytest.raises(ValueError, match="started from a network of an earlier training"):
        repeated(models, data, teacher_weights=teacher)


def test_a_part_of_a_training_is_not_repeated_as_a_whole(models, data):
    state = torch.load(models / "training_state.pt")
    state["trainer"]["epoch"] = 1
    torch.save(state, models / "training_state.pt")
    with pytest.raises(ValueError, match=r"its training was interrupted after epoch 1 of 2 .* --resume true"):
        repeated(models, data)
    state["trained_settings"]["images"]["training"].pop()
    torch.save(state, models / "training_state.pt")
    repeated(models, data)  # the state is of another training
    content = content_of(models)
    content["training"]["before_restart"] = True
    write_content(models, content)
    with pytest.raises(ValueError, match="the network is from before main started again"):
        repeated(models, data)


def test_a_config_or_a_network_that_changes_while_folds_are_trained_is_noticed(models, data, bundle):
    training = repeated(models, data, bundle)
    training.refuse_changes()
    file = bundle / "configs" / "train.yaml"
    text = file.read_text()
    file.write_text(text.replace("learning_rate: 0.0005", "learning_rate: 0.05"))
    with pytest.raises(ValueError, match=r"train.yaml was changed while the folds were trained"):
        training.refuse_changes()
    file.write_text(text)
    training.refuse_changes()
    torch.save({}, models / "model.pt")
    with pytest.raises(ValueError, match=r"model.pt was changed while the folds were trained"):
        training.refuse_changes()


def test_a_training_with_a_setting_that_could_not_be_recorded_is_not_repeated(models, data):
    content = content_of(models)
    content["training"]["not_recorded"] = ["train#random_transforms"]
    write_content(models, content)
    with pytest.raises(ValueError, match="train#random_transforms: set to a path in the training"):
        repeated(models, data)


def test_as_many_images_may_be_refused_as_in_the_training(models, data, phantoms, tmp_path):
    rows = [row | {"image": str(phantoms / row["image"])} for row in rows_of(data)]
    for number in range(2):
        (tmp_path / f"damaged{number}.png").write_bytes(b"damaged")
    more = [rows[0] | {"image": str(tmp_path / f"damaged{number}.png"), "patient": "", "split": "train"} for number in
            range(2)]  # fmt: skip
    content = content_of(models)
    content["training"]["refused_images"] = {"training": 1, "validation": 0}
    write_content(models, content)
    training = repeated(models, write_rows(tmp_path / "one.csv", [*rows, more[0]]))
    assert training.settings["skip_refused"] is True
    (tmp_path / "damaged1.png").write_bytes(b"otherwise")
    with pytest.raises(ValueError, match="0 are gone, and 2 others are there"):
        repeated(models, write_rows(tmp_path / "two.csv", [*rows, *more]))


@pytest.fixture
def with_unlabeled(models, data) -> list[str]:
    """Digests of some test images, from which the training has now learned without their labels, by its settings."""
    digests = digests_of(load_split(data, CLASSES, "test")[:3], None)
    content = content_of(models)
    images = {**content["training"]["images"], "unlabeled": digests}
    content["training"] |= {"images": images, "unlabeled": {"images": 3, "agreement": None}}
    training = repeated(models, data)
    labels = {digest: item["label"] for item, digest in zip(training.items, training._digests, strict=True)}
    contents = {split: [(digest, labels.get(digest)) for digest in of_split] for split, of_split in images.items()}
    content["training"]["datalist_sha256"] = digest_of_datalist(contents)
    write_content(models, content)
    return digests


def test_images_without_labels_that_are_gone_are_refused(models, with_unlabeled, data, phantoms):
    with pytest.raises(ValueError, match="unlabeled_dir: the training learned from images without labels; give them"):
        repeated(models, data)
    with pytest.raises(ValueError, match=f"of the 3 images without labels .*, 3 are not in {phantoms / 'train'}"):
        repeated(models, data, unlabeled_dir=phantoms / "train")


def test_no_fold_learns_from_images_that_came_later_or_were_left_out(
    models, with_unlabeled, data, phantoms, tmp_path, monkeypatch
):
    more = Path(shutil.copytree(phantoms / "test", tmp_path / "more"))
    before = repeated(models, data, unlabeled_dir=more, held_out_dir=phantoms / "test").identity()
    (more / "further.png").write_bytes(next((phantoms / "train").rglob("*.png")).read_bytes() + b"0")
    training = repeated(models, data, unlabeled_dir=more)
    assert training.identity() == before
    ran: list[dict[str, Any]] = []
    monkeypatch.setattr("dwskd_monai.commands.calibrate.folds.run_monai", lambda *given: ran.append(given[2]))
    FoldTrainings(training, tmp_path / "folds")._train(0)
    assert "held_out_dir" not in ran[0]
    assert read_json(Path(ran[0]["train#unlabeled#only"])) == {"images": sorted(with_unlabeled)}
    Bundle(BUNDLE, ran[0]).refuse_unknown_overrides("train", "train")


@pytest.mark.parametrize("code", [1, 3])
def test_a_prediction_that_left_out_what_the_training_did_is_kept(models, data, tmp_path, monkeypatch, code):
    folds = FoldTrainings(repeated(models, data), tmp_path / "folds")

    def run(bundle: Path, configs: list[str], settings: dict[str, Any]) -> None:
        place = Path(settings["output_dir"])
        place.mkdir(parents=True)
        (place / "predictions.csv").write_text("study\n")
        raise SystemExit(code)

    monkeypatch.setattr("dwskd_monai.commands.calibrate.folds.run_monai", run)
    kept = tmp_path / "folds" / "fold0" / "predictions.csv"
    if code == 3:
        folds._predict(0)
        assert kept.read_text() == "study\n"
    else:
        with pytest.raises(SystemExit):
            folds._predict(0)
        assert not kept.exists()


def test_trainings_of_other_folds_are_told_apart(models, data, phantoms, tmp_path):
    patients = sorted({row["patient"] for row in rows_of(data) if row["split"] != "test"})
    joined = changed(phantoms, tmp_path / "joined.csv", "patient", {patients[0]: patients[1], patients[2]: patients[3]})
    identities: list[dict[str, Any]] = [repeated(models, one).identity() for one in (data, joined)]
    assert identities[0]["folds"] != identities[1]["folds"], "a network may have been trained on what it predicts"
    for identity in identities:
        del identity["folds"]
    assert identities[0] == identities[1]
