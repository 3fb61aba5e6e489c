"""Which labels ``suggest --audit`` judges, if images of the training are missing or copied; and what it refuses."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from dwskd_monai.commands.suggest import auditing, label_issues
from tests.commands.suggest.runs import NAMES, audit, images

pytestmark = pytest.mark.slow  # a second for each command


def save_again(path: Path) -> None:
    """The same pixels in another file."""
    Image.open(path).save(path, compress_level=0)


def write_list(file: Path, rows: list[tuple[Path, str]]) -> Path:
    file.write_text("\n".join(["image,label", *(f"{path},{label}" for path, label in rows)]))
    return file


@pytest.fixture
def data(labeled, tmp_path) -> Path:
    """The labeled images, to be changed. The second bundle was trained on all but the images 0 to 7."""
    return Path(shutil.copytree(labeled, tmp_path / "data"))


@pytest.fixture
def never_judges(monkeypatch) -> None:
    def fail(*arguments: object) -> None:
        raise AssertionError("a study is judged")

    monkeypatch.setattr(auditing, "judge", fail)


@pytest.mark.usefixtures("never_judges")
def test_images_of_the_training_in_other_files_are_not_taken_for_new_ones(bundles, data, tmp_path, capsys):
    for path in images(data):
        save_again(path)
    for bundle in map(str, bundles):
        assert audit(bundle, tmp_path / "out", "--dataset_dir", str(data))[0] == 2
        count = 18 if bundle == str(bundles[0]) else 16
        said = f"dataset_dir: {data} has none of the {count} images that {bundle}/models/model.pt was trained on"
        assert said in capsys.readouterr().err


def test_how_many_images_of_the_training_are_missing_is_said(bundles, data, tmp_path, caplog, capsys):
    for path in images(data)[8:13]:
        save_again(path)
    with caplog.at_level(logging.WARNING, "dwskd_monai"):
        code, _, content = audit(",".join(map(str, bundles)), tmp_path / "out", "--dataset_dir", str(data))
    first = sum(number % 4 > 0 for number in range(24))
    missing = sum(number % 4 > 0 for number in range(8, 13))
    assert code == 0
    assert content["training_images"] == [first, 16]
    assert content["training_images_found"] == [first - missing, 11]
    weights = bundles[1] / "models" / "model.pt"
    assert f"{data} has 11 of the 16 images that {weights} was trained on" in caplog.text
    assert f"only 11 of the 16 images that {weights} was trained on were found" in capsys.readouterr().out


def test_near_copies_of_images_of_the_training_are_not_audited(bundles, data, tmp_path, capsys):
    new, first, second = (images(data)[number] for number in (0, 9, 10))
    Image.open(first).resize((40, 40)).save(first.with_name("smaller.jpg"))
    for path, name in ((second, "mirrored.png"), (new, "new.png")):
        ImageOps.mirror(Image.open(path)).save(path.with_name(name))
    _, _, content = audit(str(bundles[1]), tmp_path / "out", "--dataset_dir", str(data))
    assert {Path(name).name for name in content["audited"]} == {*(f"{number}.png" for number in range(8)), "new.png"}
    assert {"smaller.jpg", "mirrored.png"} < {Path(name).name for name in content["not_audited"]}
    assert "18 not audited, because all networks were trained on them, or on copies" in capsys.readouterr().out


@pytest.mark.usefixtures("never_judges")
def test_labels_of_one_class_are_not_audited(bundles, labeled, tmp_path, capsys):
    rows = [(path, NAMES[0] if int(path.stem) < 8 else path.parent.name) for path in images(labeled)]
    listed = write_list(tmp_path / "list.csv", rows)
    assert audit(str(bundles[1]), tmp_path / "out", "--dataset_dir", str(listed))[0] == 2
    said = f"audit: all 8 studies of {listed} that a network was not trained on are labeled covid19; labels of two"
    assert said in capsys.readouterr().err


def test_a_class_that_no_audited_study_is_labeled_is_named(bundles, labeled, tmp_path, capsys):
    rows = [(path, NAMES[int(path.stem) % 2] if int(path.stem) < 8 else path.parent.name) for path in images(labeled)]
    listed = write_list(tmp_path / "list.csv", rows)
    code, _, content = audit(str(bundles[1]), tmp_path / "out", "--dataset_dir", str(listed))
    assert (code, content["classes_without_labels"]) == (0, ["pneumonia"])
    said = "no audited study is labeled pneumonia, so mislabeled studies of pneumonia cannot be found"
    assert said in capsys.readouterr().out


def test_a_bundle_whose_new_images_are_all_refused_judges_nothing_and_the_others_go_on(bundles, data, tmp_path, caplog):
    for path in images(data)[:8]:
        path.write_text(f"no picture {path.stem}")
    with caplog.at_level(logging.WARNING, "dwskd_monai"):
        code, _, content = audit(",".join(map(str, bundles)), tmp_path / "out", "--dataset_dir", str(data))
    assert (code, content["refused_images"]) == (3, 8)
    assert sorted(int(Path(name).stem) for name in content["audited"]) == [8, 12, 16, 20]
    assert f"{bundles[1]}/models/model.pt judges no study" in caplog.text


def test_without_cleanlab_nothing_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(label_issues, "optional_import", lambda name: (None, False))
    assert audit(str(tmp_path / "nowhere"), tmp_path / "out")[0] == 2
    assert "audit: cleanlab is not installed; pip install 'dwskd_monai[audit]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--count", "5"], "count: without effect on suggest --audit; leave it out"),
        (["--seed", "3", "--fold", "1"], "fold, seed: without effect on suggest --audit"),
        (["--held_out_dir", "DIR"], "held_out_dir: without effect on suggest --audit"),
        (["--output_dir", "DIR"], "output_dir: suggest writes to the folder that --out names"),
        (["--ckpt_dir", "DIR"], "ckpt_dir: expected one bundle, got 2"),
        (["--checkpoint", "FILE"], "checkpoint: expected one bundle, got 2"),
        (["--training_state", "FILE"], "training_state: expected one bundle, got 2"),
    ],
)
def test_options_that_would_have_no_effect_or_one_on_all_bundles_are_refused(
    bundles, tmp_path, capsys, options, message
):
    assert audit(",".join(map(str, bundles)), tmp_path / "out", *options)[0] == 2
    assert message in capsys.readouterr().err


def test_the_same_weights_do_not_count_twice(bundles, tmp_path, capsys):
    copy = Path(shutil.copytree(bundles[0], tmp_path / "copy"))
    for again in (bundles[0], copy):
        assert audit(f"{bundles[0]},{bundles[1]},{again}", tmp_path / "out")[0] == 2
        said = f"bundle: {again}/models/model.pt has the same weights as {bundles[0]}/models/model.pt, which"
        assert said in capsys.readouterr().err
