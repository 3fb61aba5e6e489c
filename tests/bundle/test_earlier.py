from __future__ import annotations

import logging
from pathlib import Path

import pytest

from dwskd_monai.bundle import keep_earlier_training

NAMES = (
    "model.pt", "model.yaml", "model_before_restart.pt", "model_before_restart.yaml", "training_state.pt",
    "training_state.previous.pt",
)  # fmt: skip


@pytest.fixture
def models(tmp_path) -> Path:
    """A folder with what a training left."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(f"first {name}")
    return folder


def keep(models: Path, **options: bool) -> None:
    keep_earlier_training(models / "model.pt", models / "training_state.pt", **options)


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_each_training_keeps_what_it_finds_in_a_folder_of_its_own(models, caplog):
    with caplog.at_level(logging.INFO, "dwskd_monai"):
        keep(models)
    assert f"To continue it: --resume true --ckpt_dir {models}/earlier/1" in caplog.text
    for name in NAMES:
        (models / name).write_text(f"second {name}")
    keep(models)
    for number, word in (("1", "first"), ("2", "second")):
        assert contents(models / "earlier" / number) == {name: f"{word} {name}" for name in NAMES}


def test_a_copy_does_not_change_with_the_file_that_it_was_made_of(models):
    keep(models)
    with (models / "model.pt").open("r+") as file:  # as cp writes over a file
        file.write("other")
    assert (models / "earlier" / "1" / "model.pt").read_text() == "first model.pt"


def test_a_training_that_ended_before_it_wrote_a_file_leaves_no_second_copy(models):
    keep(models)
    keep(models)
    assert [path.name for path in (models / "earlier").iterdir()] == ["1"]


def test_a_training_that_is_continued_or_has_a_new_folder_keeps_nothing(models, tmp_path, monkeypatch):
    keep(models, resume=True)
    keep_earlier_training(tmp_path / "new" / "model.pt", tmp_path / "new" / "training_state.pt")
    monkeypatch.setenv("RANK", "1")  # one of several processes; the first one does it
    keep(models)
    assert not (models / "earlier").exists()
    assert not (tmp_path / "new").exists()
