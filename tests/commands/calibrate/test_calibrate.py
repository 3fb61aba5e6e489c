"""``dwskd calibrate``, as its users run it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from dwskd_monai.bundle.settings_file import read_settings
from dwskd_monai.bundle.trained_settings import TrainedSettings
from dwskd_monai.cli import main
from dwskd_monai.commands.calibrate.pooled import fit_to_folds, wanted_of
from dwskd_monai.data.datalist import load_split
from dwskd_monai.data.evaluation_split import digests_of
from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.fitting import Wanted, fit_evidence
from dwskd_monai.evaluation.prediction_files import LabeledPredictions
from tests.bundles.commands import run_dwskd, save_network
from tests.commands.calibrate.conftest import CLASSES, changed, content_of, rows_of, write_rows
from tests.conftest import BUNDLE, tiny_convnext

pytestmark = pytest.mark.xdist_group("calibrate")


def refused(capsys, *arguments: str | Path) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["calibrate", str(BUNDLE), *map(str, arguments)])
    assert stopped.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.slow
def test_each_study_is_predicted_by_a_network_that_never_saw_it_and_all_fit_the_evidence(models, phantoms, tmp_path):
    before = content_of(models)
    weights = (models / "model.pt").read_bytes()
    data = phantoms / "datalist.csv"
    command = ("calibrate", BUNDLE, data, "--ckpt_dir", models)
    code, said = run_dwskd(*command, cwd=tmp_path)
    assert code == 0, said
    assert said.count("run training") == 2
    labeled = {item["study"]: item for split in ("training", "validation") for item in load_split(data, CLASSES, split)}
    rows = []
    for fold in (0, 1):
        folder = models / "out_of_fold" / f"fold{fold}"
        of_fold = rows_of(folder / "predictions.csv")
        network = read_settings(folder / "model.pt")
        seen = set(network.images["training"])
        assert len(seen) + len(of_fold) == len(labeled)
        assert not seen & set(digests_of([labeled[row["study"]] for row in of_fold], None))
        assert network.origin["best"]["epoch"] == 2, "its only look at the fold is after the last epoch"
        assert network["deploy"] == "main", "the fold does not choose between two students"
        rows += of_fold
    assert {row["study"] for row in rows} == set(labeled)
    after = content_of(models)
    evidence = after.pop("evidence")
    expected = fit_evidence(
        np.array([[float(row[name]) for name in CLASSES] for row in rows]),
        np.array([CLASSES.index(row["label"]) for row in rows]),
        [labeled[row["study"]]["patient"] for row in rows],
        CLASSES,
        Aggregation(),
        Wanted(),
        evidence["fitted_on"],
    )
    assert "out-of-fold predictions of all labeled studies, by 2 networks" in evidence["fitted_on"]
    former = before.pop("evidence")
    assert evidence == expected | {"novelty": former["novelty"]}
    assert after == before
    assert (models / "model.pt").read_bytes() == weights

    (models / "out_of_fold" / "fold1" / "predictions.csv").unlink()  # as if it had been killed there
    code, said = run_dwskd(*command, "--operating_point", "specificity>=0.9", cwd=tmp_path)
    assert code == 0, said
    assert said.count("run training") == 1
    assert "--fold 1 " in said
    rule = content_of(models)["evidence"]
    assert rule["operating_points"]["rule"] == "specificity>=0.9"
    assert rule["temperature"] == evidence["temperature"], "the same training gives the same network"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--image_size", "64"), "image_size: calibrate repeats the training of"),
        (("--max_epochs", "3"), "max_epochs: calibrate repeats the training of"),
        (("--novelty", "0.9"), "novelty: the score comes from the images"),
        (("--operating_point", "best"), "operating_point"),
        (("--bach_size", "3"), "bach_size is not an option of calibrate"),
        (("--teacher_weights", BUNDLE / "configs" / "metadata.json"), "teacher_weights: the training started from"),
        (("--unlabeled_dir", BUNDLE), "unlabeled_dir: the training learned from no images without labels"),
    ],
)
def test_what_would_be_another_training_is_refused(models, phantoms, capsys, options, message):
    before = (models / "model.yaml").read_bytes()
    assert message in refused(capsys, phantoms / "datalist.csv", "--ckpt_dir", models, *options)
    assert (models / "model.yaml").read_bytes() == before
    assert not (models / "out_of_fold").exists()


@pytest.mark.slow
def test_images_of_another_training_are_refused(models, phantoms, tmp_path, capsys):
    rows = rows_of(phantoms / "datalist.csv")
    kept = [row for row in rows if row["split"] != "test"][2:]
    fewer = write_rows(tmp_path / "fewer.csv", [row | {"image": str(phantoms / row["image"])} for row in kept])
    said = refused(capsys, fewer, "--ckpt_dir", models)
    assert f"of {len(kept) + 2}, 2 are gone, and 0 others are there" in said


@pytest.mark.slow
def test_labels_that_were_corrected_after_the_training_are_refused(models, phantoms, tmp_path, capsys):
    swapped = {"covid19": "pneumonia", "pneumonia": "covid19"}
    other = changed(phantoms, tmp_path / "other.csv", "label", swapped)
    assert "has other labels than the training had" in refused(capsys, other, "--ckpt_dir", models)
    assert not (models / "out_of_fold").exists()


@pytest.mark.slow
def test_trainings_of_other_settings_in_the_folder_are_refused(models, phantoms, capsys):
    folder = models / "out_of_fold"
    folder.mkdir()
    (folder / "trainings.json").write_text(json.dumps({"settings": {"seed": 7}}))
    said = refused(capsys, phantoms / "datalist.csv", "--ckpt_dir", models)
    assert f"out: {folder} has trainings with other " in said
    assert "settings" in said


def test_settings_without_a_training_cannot_be_repeated(tmp_path, phantoms, capsys):
    folder = save_network(tiny_convnext(), tmp_path, student="convnext_atto", **{
        "network_def#dims": [8, 16, 24, 32], "network_def#depths": [1, 1, 2, 1], "image_size": 32,
    })  # fmt: skip
    said = refused(capsys, phantoms / "datalist.csv", "--ckpt_dir", folder)
    assert "records no training (dwskd settings wrote it)" in said


def studies() -> Iterator[tuple[str, int, np.ndarray]]:
    """Studies of two classes, by a network that is too sure."""
    random = np.random.default_rng(0)
    for number in range(200):
        label = number % 2
        logit = random.normal(1.0 if label else -1.0, 1.5) * 3
        ill = 1 / (1 + np.exp(-logit))
        yield f"study{number}", label, np.array([1 - ill, ill])


class MadeTraining(SimpleNamespace):
    """In place of a training that was made; a lock lives as long as it does."""


def test_predictions_of_all_folds_are_fitted_as_those_of_one_network(tmp_path):
    names = ["healthy", "ill"]
    network = tmp_path / "model.pt"
    network.write_bytes(b"weights")
    former = {"settings": {"prediction_set": 0.8}, "novelty": {"reason": "none"}}
    trained = TrainedSettings({"image_size": 32}, names, {}, network, None, former)
    training = MadeTraining(
        trained=trained,
        items=[{"image": name, "study": name, "patient": f"patient of {name}"} for name, _, _ in studies()],
        bundle=SimpleNamespace(parsed=lambda *_: Aggregation()),
        folds=[0, 1, 2, 3, 4],
        start="",
        refused_images=0,
        weights=network,
        settings_file=tmp_path / "model.yaml",
        refuse_changes=lambda: None,
    )
    named, labels, rows = zip(*studies())
    predictions = LabeledPredictions(list(named), np.array(labels), np.stack(rows))
    wanted = wanted_of({"operating_point": "sensitivity>=0.9"})
    record = fit_to_folds(training, predictions, wanted)
    expected = fit_evidence(
        np.array([row for _, _, row in studies()]),
        np.array([label for _, label, _ in studies()]),
        [f"patient of {name}" for name, _, _ in studies()],
        names,
        Aggregation(),
        Wanted(operating_point="sensitivity>=0.9", prediction_set=0.8),
        record["fitted_on"],
    )
    assert record == expected | {"novelty": {"reason": "none"}}
    assert record["temperature"]["value"] > 2, "of 3.4"
    assert yaml.safe_load(training.settings_file.read_text())["evidence"] == record
