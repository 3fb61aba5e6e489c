"""What the command leaves, continues, refuses and reports."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.cli import main
from dwskd_monai.commands.compare.dataset import hash_of_unlabeled
from dwskd_monai.commands.compare.grid_file import make_grid, read_grid
from tests.commands.compare.command import grid, run, start, write_methods
from tests.conftest import BUNDLES

pytestmark = pytest.mark.slow
on_the_whole_grid = pytest.mark.xdist_group("whole grid")  # in one process, so that it is made once

TIMES = ["training_seconds", "needed_seconds"]


def refused(capsys, *arguments: str | Path) -> str:
    """What the command says, in this process, to input that it does not take."""
    with pytest.raises(SystemExit) as stopped:
        main(["compare", *map(str, arguments)])
    assert stopped.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_images_without_labels_that_no_method_learns_from_are_refused(tmp_path, phantoms, capsys):
    given = ("--bundle", BUNDLES[0], "--dataset_dir", phantoms / "datalist.csv", "--out", tmp_path)
    said = refused(capsys, *given, "--methods", "selection,teacher", "--unlabeled_dir", phantoms / "test")
    assert "unlabeled_dir: none of the methods selection, teacher learns from images without labels; add" in said


def test_a_digest_of_images_without_labels_is_of_their_contents(tmp_path, phantoms):
    bundle = Bundle(BUNDLES[0])
    tests = ("unlabeled_dir", phantoms / "test")
    copied = Path(shutil.copytree(phantoms / "test", tmp_path / "copied"))
    digest = hash_of_unlabeled(bundle, [tests], tmp_path / "cache")
    assert digest == hash_of_unlabeled(bundle, [("unlabeled_dir", copied)], tmp_path / "cache")
    next(copied.rglob("*.png")).unlink()
    assert digest != hash_of_unlabeled(bundle, [("unlabeled_dir", copied)], tmp_path / "cache")
    assert digest != hash_of_unlabeled(bundle, [tests, ("held_out_dir", copied)], tmp_path / "cache")
    assert hash_of_unlabeled(bundle, [], tmp_path / "cache") == ""


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    return write_methods(tmp_path_factory.mktemp("methods"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, own, phantoms) -> Path:
    """A finished grid: two methods on two jobs at a time."""
    out = tmp_path_factory.mktemp("whole")
    more = ("--fractions", "1.0", "--seeds", "0", "--jobs", "2")
    run(*grid(phantoms / "train", out, own, "selection,dws_skd_mutual", *more, epochs=6))
    return out


@on_the_whole_grid
def test_the_tables_figures_and_the_page_are_there(whole):
    table = pd.read_csv(whole / "results.csv")
    assert table[["method", "fraction", "fold", "seed"]].values.tolist() == [
        [method, 1.0, 0, 0] for method in ("selection", "dws_skd_mutual")
    ]
    for column in ("balanced_accuracy", "accuracy", "macro_auc", "macro_f1", "last_epoch_balanced_accuracy"):
        assert table[column].between(0, 1).all()
    assert (table["training_seconds"] > 0).all()
    assert table["parameters"].nunique() == table["data_hash"].nunique() == 1
    assert table["epochs"].tolist() == [6] * 2
    assert table["versions"].str.contains("torch ").all()
    mutual = table["method"] == "dws_skd_mutual"
    assert table.loc[mutual, ["ensemble_macro_auc", "soup_macro_auc"]].notna().all(axis=None)
    assert table.loc[~mutual, ["ensemble_macro_auc", "soup_macro_auc"]].isna().all(axis=None)
    assert {path.name for path in whole.iterdir()} == {
        "cache", "figures", "grid.yaml", "index.html", "results.csv", "runs", "summary.csv", "summary.md",
    }  # fmt: skip
    assert not list(whole.rglob("*.pt")), "networks are not kept unless they are asked for"


@on_the_whole_grid
def test_both_students_deployed_are_one_network_of_twice_the_size(whole, tmp_path, own, phantoms):
    more = ("--fractions", "1.0", "--seeds", "0", "--baseline", "both_deployed")
    run(*grid(phantoms / "train", tmp_path, own, "both_deployed", *more))
    (row,) = pd.read_csv(tmp_path / "results.csv").to_dict("records")
    assert row["parameters"] == 2 * pd.read_csv(whole / "results.csv")["parameters"][0]
    assert 0 <= row["balanced_accuracy"] <= 1
    assert not [name for name in row if "ensemble" in name or "soup" in name], "it is the ensemble itself"


@on_the_whole_grid
def test_a_grid_that_was_killed_and_continued_has_the_same_results(whole, tmp_path, own, phantoms):
    more = ("--fractions", "1.0", "--seeds", "0")
    command = grid(phantoms / "train", tmp_path, own, "selection,dws_skd_mutual", *more, epochs=6)
    shutil.copytree(whole / "runs" / "selection", tmp_path / "runs" / "selection")  # as if it had ended before
    printed = (tmp_path / "printed.txt").open("w+")
    process = start(*command, printed=printed)
    second = tmp_path / "runs" / "dws_skd_mutual" / "1" / "fold0_seed0"
    while not (second / "training_state.pt").exists():  # a training in its middle
        assert process.poll() is None, (tmp_path / "printed.txt").read_text()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    printed.close()
    assert not (second / "result.json").exists()
    said = run(*command)
    assert "1 of 1: " in said, "the finished run is not repeated"
    assert "continuing after epoch" in (second / "log.txt").read_text()
    continued, uninterrupted = (pd.read_csv(out / "results.csv").drop(columns=TIMES) for out in (tmp_path, whole))
    pd.testing.assert_frame_equal(continued, uninterrupted[uninterrupted["seed"] == 0], check_exact=True)


@on_the_whole_grid
def test_the_file_that_was_written_is_the_same_grid(whole):
    before = (whole / "results.csv").read_bytes()
    assert "run/s" not in run(whole / "grid.yaml"), "nothing is left to run"
    assert (whole / "results.csv").read_bytes() == before
    assert not (whole / "grid_2.yaml").exists()


@on_the_whole_grid
def test_more_seeds_extend_the_table(whole):
    before = pd.read_csv(whole / "results.csv")
    said = run(whole / "grid.yaml", "--methods", "selection", "--seeds", "1")
    assert make_grid(read_grid(whole / "grid_2.yaml")).seeds == (1,)
    assert "1 runs: 1 methods, 1 fractions, 1 folds x seeds" in said
    table = pd.read_csv(whole / "results.csv")
    assert table["seed"].tolist() == [0, 0, 1]
    pd.testing.assert_frame_equal(table.iloc[:2], before)


def test_a_failed_run_is_reported_and_the_others_finish(tmp_path, own, phantoms):
    more = ("--fractions", "1.0", "--seeds", "0")
    ended = tmp_path / "runs" / "selection" / "1" / "fold0_seed0"
    ended.mkdir(parents=True)
    (ended / "model.pt").write_bytes(b"of a training that was ended before it had a state")
    said = run(*grid(phantoms / "train", tmp_path, own, "broken,selection", *more), expect=1)
    assert "1 runs failed; the same command tries them again" in said
    assert "broken, fraction 1, fold 0, seed 0: temperature must be greater than 0, got -1.0 (log: " in said
    assert pd.read_csv(tmp_path / "results.csv")["method"].tolist() == ["selection"]
    assert "temperature must be greater than 0" in (tmp_path / "index.html").read_text()
    assert not list(tmp_path.rglob("*.pt"))


def test_folds_a_fraction_test_images_probes_and_what_a_method_needs(tmp_path, own, phantoms):
    more = ("--fractions", "0.5", "--seeds", "3", "--folds", "2", "--test_dir", str(phantoms / "test"))
    more += ("--baseline", "selection_kd", "--jobs", "2", "--unlabeled_dir", str(phantoms / "train"))
    command = grid(phantoms / "train", tmp_path, own, "selection_kd,label_spreading", *more)
    run(*command)
    table = pd.read_csv(tmp_path / "results.csv")
    assert table.groupby("method").size().to_dict() == dict.fromkeys(["teacher", "selection_kd", "label_spreading"], 2)
    assert table[[column for column in table if column.startswith("test_")]].notna().all(axis=None)
    needed = table.set_index(["method", "fold"])
    for fold in (0, 1):
        kd, teacher = (needed.loc[(name, fold)] for name in ("selection_kd", "teacher"))
        assert kd["needed_seconds"] == pytest.approx(teacher["training_seconds"], rel=1e-4)
        assert teacher["parameters"] > kd["parameters"]
    assert needed.loc[("label_spreading", 0), "training_seconds"] == 0
    kept = {path.relative_to(tmp_path / "runs").parts[0] for path in tmp_path.rglob("*.pt")}
    assert kept == {"teacher"}, "the network that another method needs"
    before = (tmp_path / "results.csv").read_bytes()
    assert "run/s" not in run(*command), "nothing is left to run"
    assert (tmp_path / "results.csv").read_bytes() == before
    probe = yaml.safe_load(
        (tmp_path / "runs" / "label_spreading" / "0.5" / "fold0_seed3" / "test" / "run.yaml").read_text()
    )
    assert probe["dataset_dir"] == str(phantoms / "train"), "a probe is fitted on training images"
    log = (tmp_path / "runs" / "label_spreading" / "0.5" / "fold1_seed3" / "log.txt").read_text()
    assert "images without labels" in log, "the other images are used without their labels"
    left_out = [
        set(pd.read_csv(tmp_path / "runs/label_spreading/0.5/fold1_seed3" / split / "refused_unlabeled.csv")["path"])
        for split in ("validation", "test")
    ]
    assert left_out[0], "validation images are among the others"
    assert left_out[0] <= left_out[1], "the network that is tested is the one that was validated"
    log = (tmp_path / "runs" / "selection_kd" / "0.5" / "fold1_seed3" / "log.txt").read_text()
    assert re.search(r" 1[12] training images", log), "half of one of two folds of 45 images"


def test_learning_rates_are_chosen_before_the_measured_runs(tmp_path, own, phantoms):
    more = ("--fractions", "1.0", "--seeds", "0", "--learning_rates", "1e-9,0.01")
    run(*grid(phantoms / "train", tmp_path, own, "selection", *more, "--jobs", "2", epochs=2))
    table = pd.read_csv(tmp_path / "results.csv").set_index("method")
    tried = {
        float(path.parent.name.removeprefix("lr")): pd.read_json(path, typ="series")["balanced_accuracy"]
        for path in (tmp_path / "tuning" / "selection").rglob("result.json")
    }
    assert set(tried) == {1e-9, 0.01}
    assert tried[table.loc["selection", "learning_rate"]] == max(tried.values())


def test_the_plan_runs_nothing(tmp_path, own, phantoms, capsys):
    more = ("--fractions", "1.0,0.1", "--seeds", "0,1,2", "--folds", "5", "--plan")
    main(["compare", *grid(phantoms / "train", tmp_path, own, "selection,scratch", *more)])
    said = capsys.readouterr().out
    assert "60 runs: 2 methods, 2 fractions, 15 folds x seeds" in said
    assert "± 0.022 with 15 runs per fraction; ± 0.015 needs 30 runs" in said
    assert not (tmp_path / "runs").exists()


def test_the_options_are_explained_when_they_are_asked_for(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["compare", "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr()
    assert "--methods_file=METHODS_FILE" in said.out + said.err


def test_without_images_the_option_is_named(capsys):
    assert "dataset_dir is missing: give it as --dataset_dir" in refused(capsys, "--bundle", BUNDLES[0], "--out", "x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("--bundel", "x"), "bundel is not an option of compare, nor a setting of train.yaml"),
        (("--rescale", "no"), "rescale must be true or false; got 'no'"),
        (("--image_size@1.0", "large"), "image_size must be a number, such as 224; got 'large'"),
        (("--seed", "3"), "seed: each run has its own value, which compare makes from --seeds; leave it out"),
        (
            ("--checkpoint", "x.pt"),
            "checkpoint: each run has its own value, which compare makes from --out; leave it out",
        ),
        (
            ("--train_fraction@1.0", "0.5"),
            "train_fraction: each run has its own value, which compare makes from --fractions",
        ),
        (("--bundle", "nowhere"), "has no configs/metadata.json; give the folder of a bundle"),
        (("--dataset_dir", "nowhere"), "nowhere"),
        (("--methods", "selektion"), "methods must be among scratch,"),
        (("--baseline", "teacher"), "baseline must be among the methods selection; got teacher"),
        (("--fractions", "25"), "expected fractions in (0, 1]"),
        (("--folds", "1"), "2 or more folds"),
        (("--jobs", "0"), "jobs must be 1 or more, got 0"),
        (("--seeds", "0.5"), "seeds: expected whole numbers, got 0.5"),
        (("--test_dir", "nowhere"), "nowhere does not exist"),
    ],
)
def test_bad_input_is_named_before_anything_is_run(tmp_path, own, phantoms, capsys, changes, message):
    command = grid(phantoms / "train", tmp_path, own, "selection", "--fractions", "1.0", "--seeds", "0")
    said = refused(capsys, *command, *changes)
    assert said.startswith("error: ")
    assert message in said
    assert not (tmp_path / "runs").exists()


def test_an_override_of_a_method_that_no_config_knows_is_refused(tmp_path, phantoms, capsys):
    methods = tmp_path / "own.yaml"
    methods.write_text("hotter: {description: a typing error, overrides: {auxiliary: mutual, temprature: 8.0}}\n")
    command = grid(phantoms / "train", tmp_path / "out", methods, "selection,hotter", "--fractions", "1.0")
    said = refused(capsys, *command)
    assert "temprature is not a setting of the configs that hotter is run with; did you mean temperature?" in said


def test_a_test_image_that_is_trained_on_is_refused(tmp_path, own, phantoms, capsys):
    shutil.copytree(phantoms / "test", tmp_path / "test")
    taken = sorted((phantoms / "train" / "pneumonia").iterdir())[0]
    shutil.copy(taken, tmp_path / "test" / "pneumonia" / "other_name.png")
    command = grid(phantoms / "train", tmp_path / "out", own, "selection", "--test_dir", str(tmp_path / "test"))
    said = refused(capsys, *command)
    assert f"test_dir: 1 images are training or validation images too: {tmp_path}" in said
    assert taken.name in said


def test_folds_of_data_that_names_its_validation_images_are_refused(tmp_path, own, phantoms, capsys):
    listed = pd.read_csv(phantoms / "datalist.csv")
    listed["image"] = [str(phantoms / image) for image in listed["image"]]
    patients = listed[listed["split"] == "train"].groupby("label").head(2)["patient"]
    listed.loc[listed["patient"].isin(patients), "split"] = "validation"
    listed.to_csv(tmp_path / "datalist.csv", index=False)
    command = grid(tmp_path / "datalist.csv", tmp_path / "out", own, "selection", "--folds", "2")
    said = refused(capsys, *command)
    assert "names its validation images and has no folds; leave fold out" in said
