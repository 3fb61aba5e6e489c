"""The command ``suggest`` with networks whose predictions and training images are known."""

from __future__ import annotations

import csv
import json
import logging
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageOps

from dwskd_monai.data.cache import digest_of
from dwskd_monai.ensemble import Ensemble
from dwskd_monai.evaluation.novelty import describe_slices, packed
from dwskd_monai.evaluation.novelty_fitting import fit_distance
from tests.bundles.commands import SMALL_SETTINGS, save_network
from tests.commands.suggest.runs import (
    AUXILIARY,
    DEPLOYED,
    MAIN,
    NAMES,
    draw,
    names,
    origin,
    save_state,
    suggest,
    trained_on,
)  # fmt: skip
from tests.conftest import BUNDLE
from tests.reading.dicom_files import write as write_dicom

pytestmark = pytest.mark.slow  # a second for each command


def in_nats(probabilities: Sequence[float]) -> float:
    return -sum(value * math.log(value) for value in probabilities)


def test_each_row_says_what_the_networks_predict_in_the_order_of_their_disagreement(both, unlabeled, predicted):
    code, rows = suggest(both, unlabeled)
    assert code == 0
    expected = []
    for image in sorted(unlabeled.iterdir()):
        deployed, main_student, auxiliary = (predicted(net, image) for net in (DEPLOYED, MAIN, AUXILIARY))
        mean = [(one + other) / 2 for one, other in zip(main_student, auxiliary)]
        score = in_nats(mean) - (in_nats(main_student) + in_nats(auxiliary)) / 2
        classes = [NAMES[int(np.argmax(one))] for one in (deployed, main_student, auxiliary)]
        row = {"study": str(image), "image": str(image), "slice": "0", "slices": "1", "score": score}
        row |= {"reason": "uncertainty" if classes[1] == classes[2] else "disagreement"}
        row |= {"unlike_training": "", "novelty": ""}  # the network has no novelty score
        row |= dict(zip(("predicted", "main", "auxiliary"), classes))
        for student, values in (("main", main_student), ("auxiliary", auxiliary)):
            row |= {f"{student}_{name}": value for name, value in zip(NAMES, values)}
        expected.append(row)
    expected.sort(key=lambda row: -row["score"])
    assert {row["reason"] for row in expected} == {"uncertainty", "disagreement"}, "else one of them is not tested"
    for rank, (row, of_formula) in enumerate(zip(rows, expected, strict=True), 1):
        assert row.pop("rank") == str(rank)
        assert list(row) == list(of_formula)
        for column, value in of_formula.items():
            same = pytest.approx(value, abs=2e-6) if isinstance(value, float) else value
            assert (float(row[column]) if isinstance(value, float) else row[column]) == same, column


def test_what_is_written_beside_says_how_and_the_sheet_is_drawn(both, unlabeled, capsys):
    suggest(both, unlabeled, "--count", "4", "--seed", "5")
    content = origin(both)
    assert content["students"] == 2
    assert content["score"] == "disagreement of the two students"
    assert (content["studies"], content["suggested"], content["seed"]) == (6, 4, 5)
    assert "4 of 6 studies, by disagreement of the two students; see " in capsys.readouterr().out
    with Image.open(both.parent / "out" / "suggestions.png") as sheet:
        assert sheet.height < sheet.width, "one row"


def test_studies_that_are_unlike_the_training_images_are_suggested_and_marked(both, unlabeled, transform, capsys):
    described = [describe_slices(transform({"image": str(image)})["image"].numpy()) for image in unlabeled.iterdir()]
    with_limit = {**packed(fit_distance(np.concatenate(described))), "studies": {"limit": 5.0}}
    settings = yaml.safe_load((both / "model.yaml").read_text())
    (both / "model.yaml").write_text(yaml.safe_dump({**settings, "evidence": {"novelty": with_limit}}))
    noise = np.random.default_rng(0).integers(0, 255, (48, 48), np.uint8)
    Image.fromarray(noise).save(unlabeled / "noise.png")
    _, rows = suggest(both, unlabeled)
    said = {Path(row["image"]).name: row["unlike_training"] for row in rows}
    assert said == {f"{number}.png": "false" for number in range(6)} | {"noise.png": "true"}
    assert all(float(row["novelty"]) > 5 for row in rows if row["unlike_training"] == "true")
    assert origin(both)["unlike_training"] == 1
    assert "unlike the training images (column unlike_training): 1 of them" in capsys.readouterr().out


def test_the_same_seed_makes_the_same_files(both, unlabeled):
    out = both.parent / "out"
    suggest(both, unlabeled, "--count", "3")
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    suggest(both, unlabeled, "--count", "3")
    assert {path.name: path.read_bytes() for path in out.iterdir() if "previous" not in path.name} == first
    assert (out / "suggestions.previous.csv").read_bytes() == first["suggestions.csv"]


def test_both_deployed_students_are_compared_with_each_other(tmp_path, unlabeled, predicted):
    folder = save_network(Ensemble(MAIN, AUXILIARY), tmp_path / "models", deploy="both", **SMALL_SETTINGS)
    _, rows = suggest(folder, unlabeled)
    for row in rows:
        main_student, auxiliary = (predicted(net, row["image"]) for net in (MAIN, AUXILIARY))
        mean = [(one + other) / 2 for one, other in zip(main_student, auxiliary)]
        assert float(row["main_covid19"]) == pytest.approx(main_student[0], abs=2e-6)
        assert float(row["auxiliary_covid19"]) == pytest.approx(auxiliary[0], abs=2e-6)
        assert row["predicted"] == NAMES[int(np.argmax(mean))]


@pytest.mark.parametrize("why", ["no state", "null", "one student"])
def test_one_network_alone_is_judged_by_its_entropy_and_the_output_says_so(
    models, unlabeled, predicted, why, caplog, capsys
):
    if why != "no state":
        save_state(models, students=1 if why == "one student" else 2)
    with caplog.at_level(logging.WARNING, "dwskd_monai"):
        _, rows = suggest(models, unlabeled, *(["--training_state", "null"] if why == "null" else []))
    assert "only the deployed network judges" in caplog.text
    assert "by entropy of the deployed network, which judges alone" in capsys.readouterr().out
    assert origin(models)["students"] == 1
    assert [float(row["score"]) for row in rows] == sorted((float(row["score"]) for row in rows), reverse=True)
    for row in rows:
        probabilities = predicted(DEPLOYED, row["image"])
        assert float(row["score"]) == pytest.approx(in_nats(probabilities), abs=2e-6)
        assert float(row["deployed_pneumonia"]) == pytest.approx(probabilities[2], abs=2e-6)
        assert row["predicted"] == NAMES[int(np.argmax(probabilities))]
        assert row["reason"] == "uncertainty"
        assert "main" not in row


def test_images_that_are_known_and_copies_of_them_are_not_suggested_and_are_counted(both, unlabeled, tmp_path, capsys):
    labeled = tmp_path / "labeled"
    for number, name in enumerate((*NAMES, *NAMES)):
        draw(labeled / name / f"{10 + number}.png", 10 + number)
    training = sorted(labeled.rglob("*.png"))[:3]
    validation, *others = sorted(labeled.rglob("*.png"))[3:]
    trained_on(both, training, [validation])
    save_state(both, [digest_of(path) for path in training])
    shutil.copy(training[0], unlabeled / "renamed.png")
    shutil.copy(validation, unlabeled / "validation.png")
    shutil.copy(others[0], unlabeled / "tested.png")
    Image.open(training[1]).resize((40, 40)).save(unlabeled / "smaller.jpg", quality=80)
    ImageOps.mirror(Image.open(unlabeled / "renamed.png")).save(unlabeled / "mirrored.png")
    _, rows = suggest(both, unlabeled, "--dataset_dir", str(labeled))
    assert names(rows) == {f"{number}.png" for number in range(6)}
    left_out = {Path(path).name: kind for path, kind in origin(both)["left_out_images"].items()}
    assert left_out == {
        "renamed.png": "trained on",
        "validation.png": "validated on",
        "tested.png": "labeled",
        "smaller.jpg": "near copies of known images",
        "mirrored.png": "near copies of known images",
    }
    said = "images that are known, and not suggested: 2 near copies of known images, 1 trained on, 1 labeled"
    assert said in capsys.readouterr().out


def test_without_the_labeled_images_those_of_the_training_are_still_found_by_their_contents(both, unlabeled, caplog):
    trained_on(both, [unlabeled / "2.png"], [unlabeled / "4.png"])
    Image.open(unlabeled / "2.png").resize((40, 40)).save(unlabeled / "smaller.png")
    with caplog.at_level(logging.WARNING, "dwskd_monai"):
        _, rows = suggest(both, unlabeled)
    assert names(rows) == {"0.png", "1.png", "3.png", "5.png"}
    assert "dataset_dir: data/chest_xray is not there" in caplog.text


def test_held_out_images_and_copies_of_them_are_not_suggested(both, unlabeled, tmp_path, capsys):
    held_out = tmp_path / "held_out"
    for number in (1, 3, 20):
        draw(held_out / f"held_out_{number}.png", number)
    draw(unlabeled / "part.png", 30)
    shutil.copy(unlabeled / "1.png", unlabeled / "again.png")
    ImageOps.mirror(Image.open(held_out / "held_out_20.png")).resize((40, 40)).save(unlabeled / "mirrored.png")
    rows = [f"{path.name},{'S' if path.stem in ('3', 'part') else path.stem}" for path in sorted(unlabeled.iterdir())]
    (unlabeled / "list.csv").write_text("\n".join(["image,study", *rows]))
    _, rows = suggest(both, unlabeled / "list.csv", "--held_out_dir", str(held_out))
    assert names(rows) == {"0.png", "2.png", "4.png", "5.png"}
    left_out = {Path(path).name: kind for path, kind in origin(both)["left_out_images"].items()}
    assert left_out == {
        **dict.fromkeys(("1.png", "3.png", "again.png"), "held out"),
        "mirrored.png": "near copies of known images",
        "part.png": "of studies with such images",
    }
    assert "not suggested: 3 held out, 1 near copies of known images, 1 of studies" in capsys.readouterr().out


def test_held_out_images_of_the_bundle_are_not_suggested_either(both, unlabeled, tmp_path):
    bundle = Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))
    draw(tmp_path / "held_out" / "x.png", 4)
    train = bundle / "configs" / "train.yaml"
    train.write_text(train.read_text().replace("held_out_dir: null", f"held_out_dir: {tmp_path / 'held_out'}"))
    _, rows = suggest(both, unlabeled, bundle=bundle)
    assert names(rows) == {"0.png", "1.png", "2.png", "3.png", "5.png"}


def test_test_images_that_a_datalist_names_without_a_label_are_not_suggested_either(both, unlabeled, tmp_path):
    for number in range(10, 13):
        draw(tmp_path / f"{number}.png", number)
    labeled = [{"image": f"{10 + number}.png", "label": name} for number, name in enumerate(NAMES)]
    content = {"training": labeled, "test": [str(unlabeled / "4.png")]}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    _, rows = suggest(both, unlabeled, "--dataset_dir", str(tmp_path / "dataset.json"))
    assert names(rows) == {"0.png", "1.png", "2.png", "3.png", "5.png"}
    assert {Path(path).name: kind for path, kind in origin(both)["left_out_images"].items()} == {"4.png": "held out"}


def test_held_out_images_that_cannot_be_read_are_said(both, unlabeled, tmp_path, caplog):
    draw(tmp_path / "held_out" / "x.png", 4)
    (tmp_path / "held_out" / "broken.png").write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING, "dwskd_monai"):
        code, rows = suggest(both, unlabeled, "--held_out_dir", str(tmp_path / "held_out"))
    assert (code, len(rows)) == (0, 5), "images to be suggested are all there"
    assert "1 held out images cannot be used, so copies of them may be suggested" in caplog.text
    assert "broken.png" in (tmp_path / "out" / "refused_held_out.csv").read_text()


def test_labeled_images_that_cannot_be_read_are_said_since_copies_of_them_are_not_found(both, unlabeled, caplog):
    labeled = both.parent / "labeled"
    for number, name in enumerate(NAMES):
        draw(labeled / name / f"{10 + number}.png", 10 + number)
    (labeled / "covid19" / "broken.png").write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING, "dwskd_monai"):
        code, rows = suggest(both, unlabeled, "--dataset_dir", str(labeled))
    assert (code, len(rows)) == (0, 6), "images to be suggested are all there"
    assert "1 labeled images cannot be used" in caplog.text
    assert "broken.png" in (both.parent / "out" / "refused_labeled.csv").read_text()


def test_a_study_with_a_known_image_is_not_suggested(both, unlabeled):
    trained_on(both, [unlabeled / "0.png"])
    rows = [f"{number}.png,S{number // 2}" for number in range(6)]
    (unlabeled / "list.csv").write_text("\n".join(["image,study", *rows]))
    _, rows = suggest(both, unlabeled / "list.csv")
    assert {row["study"] for row in rows} == {"S1", "S2"}
    assert set(origin(both)["left_out_images"].values()) == {"trained on", "of studies with such images"}


def test_a_copy_of_an_image_that_is_suggested_is_not_suggested_too(both, unlabeled):
    for name in ("again.png", "turned.png", "smaller.jpg"):
        picture = Image.open(unlabeled / "3.png")
        (picture.rotate(90) if name == "turned.png" else picture.resize((40, 40))).save(unlabeled / name)
    _, rows = suggest(both, unlabeled)
    assert len(rows) == 6
    assert len(names(rows) & {"3.png", "again.png", "turned.png", "smaller.jpg"}) == 1


@pytest.mark.parametrize(
    "source", ["datalist", "DICOM header", "folder", "folder below one of a split and a class", "folder in an archive"]
)
def test_of_each_patient_one_study_is_suggested(both, tmp_path, source):
    folder = tmp_path / "studies"
    lines = ["image,patient"]
    for number in range(6):
        patient = f"P{number // 3}"
        if source == "DICOM header":
            pixels = np.asarray(Image.open(draw(tmp_path / "x.png", number))).astype(np.uint16) * 16
            folder.mkdir(exist_ok=True)
            write_dicom(folder / f"{number}.dcm", pixels, PatientID=patient)
            continue
        of_source = {"folder": patient, "datalist": ".", "folder in an archive": f"archive/{patient}/study{number}"}
        below = of_source.get(source, f"train/covid19/{patient}")
        draw(folder / below / f"{number}.png", number)
        lines.append(f"{number}.png,{patient}")
    if source == "datalist":
        (folder / "list.csv").write_text("\n".join(lines))
    _, rows = suggest(both, folder / "list.csv" if source == "datalist" else folder)
    assert sorted(int(Path(row["image"]).stem) // 3 for row in rows) == [0, 1]
    if source == "folder":
        _, rows = suggest(both, folder, "--folder_patients", "false")
        assert len(rows) == 6


@pytest.mark.parametrize("of_patients", [True, False])
def test_folders_are_patients_if_they_are_as_deep_as_those_of_labeled_images(both, tmp_path, of_patients):
    for number in range(2):
        patient = f"A{number}" if of_patients else "."
        draw(tmp_path / "labeled" / "covid19" / patient / f"{number}.png", 20 + number)
    for number in range(6):
        draw(tmp_path / "studies" / f"site{number // 3}" / f"P{number}" / f"{number}.png", number)
    _, rows = suggest(both, tmp_path / "studies", "--dataset_dir", str(tmp_path / "labeled"))
    assert len(rows) == (6 if of_patients else 2)


def test_the_slice_on_which_the_students_disagree_most_is_named(both, unlabeled, predicted):
    rows = [f"{number}.png,S" for number in range(6)]
    (unlabeled / "list.csv").write_text("\n".join(["image,study", *rows]))
    _, (row,) = suggest(both, unlabeled / "list.csv")
    scores = []
    for number in range(6):
        main_student, auxiliary = (predicted(net, unlabeled / f"{number}.png") for net in (MAIN, AUXILIARY))
        mean = [(one + other) / 2 for one, other in zip(main_student, auxiliary)]
        scores.append(in_nats(mean) - (in_nats(main_student) + in_nats(auxiliary)) / 2)
    expected = int(np.argmax(scores))
    assert (row["slice"], row["slices"], Path(row["image"]).name) == ("0", "6", f"{expected}.png")


def test_images_that_cannot_be_read_are_listed_the_others_are_used_and_the_exit_code_is_3(both, unlabeled, capsys):
    (unlabeled / "broken.png").write_bytes((unlabeled / "0.png").read_bytes()[:100])
    (unlabeled / "notes.txt").write_text("x")
    code, rows = suggest(both, unlabeled)
    assert code == 3
    assert names(rows) == {f"{number}.png" for number in range(6)}
    with (both.parent / "out" / "refused.csv").open(newline="") as file:
        assert [(Path(row["path"]).name, row["kind"]) for row in csv.DictReader(file)] == [
            ("broken.png", "damaged"), ("notes.txt", "aside"),
        ]  # fmt: skip
    assert "1 image was refused (1 damaged), all others were used" in capsys.readouterr().err


def test_a_strict_run_ends_at_the_first_image_that_cannot_be_read(both, unlabeled, capsys):
    (unlabeled / "broken.png").write_bytes(b"no picture")
    code, rows = suggest(both, unlabeled, "--strict")
    assert (code, rows) == (2, [])
    assert "broken.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--count", "0"], "count must be a whole number, 1 or more; got 0"),
        (["--count", "2.5"], "count must be a whole number, 1 or more; got 2.5"),
        (["--seed", "-1"], "seed must be a whole number, 0 to 4294967295; got -1"),
        (["--seed", "1.5"], "seed must be a whole number, 0 to 4294967295; got 1.5"),
        (["--seed", str(2**40)], f"seed must be a whole number, 0 to 4294967295; got {2**40}"),
        (["--seed", "null"], "seed must be a whole number, 0 to 4294967295; got None"),
        (["--fold", "1"], "fold: without effect on suggest; leave it out"),
        (["--output_dir", "elsewhere"], "output_dir: suggest writes to the folder that --out names; give --out DIR"),
        (["--held_out_dir", "nowhere"], "held_out_dir: nowhere does not exist"),
        (["--counts", "5"], "counts is not an option of suggest"),
        (["--audit"], "unlabeled_dir: --audit looks at labeled images"),
        (["--dataset_dir", "nowhere"], "dataset_dir: nowhere does not exist"),
        (["--image_size", "64"], "was trained with 32"),
    ],
)
def test_what_is_wrong_with_an_option_is_said(both, unlabeled, capsys, options, message):
    code, rows = suggest(both, unlabeled, *options)
    assert (code, rows) == (2, [])
    assert message in capsys.readouterr().err


def test_it_needs_images_a_trained_bundle_and_the_state_of_its_training(both, unlabeled, tmp_path, capsys):
    assert suggest(both, None)[0] == 2
    assert "unlabeled_dir: give images to choose from, --unlabeled_dir DIR, or" in capsys.readouterr().err
    assert suggest(both, tmp_path / "nowhere")[0] == 2
    assert f"unlabeled_dir: {tmp_path / 'nowhere'} does not exist" in capsys.readouterr().err
    trained_on(both, [unlabeled / "0.png"])
    save_state(both, ["another"])
    assert suggest(both, unlabeled)[0] == 2
    said = capsys.readouterr().err
    assert "training_state.pt is of another training than" in said
    assert "--training_state null" in said
    torch.save({"stem": torch.zeros(1)}, both / "model.pt")
    assert suggest(both, unlabeled)[0] == 2
    (both / "model.pt").unlink()
    assert suggest(both, unlabeled)[0] == 2
    assert "model.pt does not exist; train the bundle first" in capsys.readouterr().err


def test_if_all_images_are_known_the_message_counts_them(both, unlabeled, capsys):
    trained_on(both, sorted(unlabeled.iterdir())[:4], sorted(unlabeled.iterdir())[4:])
    code, rows = suggest(both, unlabeled)
    assert (code, rows) == (2, [])
    assert "has no study to suggest: all images are known (4 trained on, 2 validated on)" in capsys.readouterr().err


def test_fewer_studies_than_were_asked_for_are_said(both, unlabeled, caplog):
    with caplog.at_level(logging.WARNING, "dwskd_monai"):
        suggest(both, unlabeled, "--count", "7")
    assert "count: 7 studies were asked for; there are only 6" in caplog.text
