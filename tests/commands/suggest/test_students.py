"""Which training state ``suggest`` takes the two students from."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from torch import nn

from tests.bundles.commands import train_here
from tests.commands.suggest.runs import AUXILIARY, MAIN, SECOND, draw, origin, record, save_state, suggest

pytestmark = pytest.mark.slow  # a second for each command

CONFIG = {"seed": 0, "learning_rate": 0.1, "max_epochs": 5}


def compares(rows: list[dict[str, str]], predicted, main: nn.Module) -> bool:
    """Whether the first of the students is this network."""
    return len(rows) == 6 and all(
        float(row["main_covid19"]) == pytest.approx(predicted(main, row["image"])[0], abs=2e-6)
        and float(row["auxiliary_covid19"]) == pytest.approx(predicted(AUXILIARY, row["image"])[0], abs=2e-6)
        for row in rows
    )


def test_students_of_a_training_that_is_over_judge_and_its_epoch_is_recorded(both, unlabeled, predicted):
    _, rows = suggest(both, unlabeled)
    assert compares(rows, predicted, MAIN)
    assert (origin(both)["students"], origin(both)["training_state_epoch"]) == (2, 5)


@pytest.mark.parametrize(
    "more",
    [
        {"trainer": {"students": 2, "epoch": 3}},
        {"trainer": {"students": 2, "epoch": 3}, "lr_scheduler": {}, "trained_settings": {"config": CONFIG}},
    ],
)
def test_students_of_an_interrupted_training_do_not_judge(models, unlabeled, caplog, more):
    """The number of epochs is that of the schedule, or of the settings if there is another schedule."""
    save_state(models, **more)
    with caplog.at_level(logging.WARNING, "dwskd_monai"):
        _, rows = suggest(models, unlabeled)
    assert "main" not in rows[0]
    assert (origin(models)["students"], origin(models)["training_state_epoch"]) == (1, 3)
    said = "only the deployed network judges: the training was interrupted, and the students in "
    assert said in caplog.text
    assert "are those of epoch 3 of 5; continue it: dwskd train … --resume true" in caplog.text


def test_weights_that_are_named_are_judged_with_the_state_beside_them(models, unlabeled, predicted):
    """A training keeps an earlier one in ``models/earlier/1``, with its state."""
    earlier = Path(shutil.copytree(models, models / "earlier" / "1"))
    save_state(earlier, main=MAIN)
    save_state(models, main=SECOND)
    named = ("--checkpoint", str(earlier / "model.pt"))
    _, rows = suggest(models, unlabeled, *named)
    assert compares(rows, predicted, MAIN)
    _, rows = suggest(models, unlabeled, *named, "--training_state", str(models / "training_state.pt"))
    assert compares(rows, predicted, SECOND)
    (earlier / "training_state.pt").unlink()
    _, rows = suggest(models, unlabeled, *named)
    assert "main" not in rows[0], "the state in models is of another training"


@pytest.mark.parametrize(
    ("recorded", "same"),
    [
        ({"seed": 1}, False),
        ({"overrides": {"learning_rate": 0.2}}, False),
        ({"best": {"epoch": 4, "metric": "accuracy", "value": 0.9}}, False),
        ({"best": {"epoch": 2, "metric": "accuracy", "value": 0.8}}, False),
        ({"seed": 0, "overrides": {"learning_rate": 0.1, "num_workers": 3, "max_epochs": 4}}, True),
        ({"best": {"epoch": 4, "metric": "accuracy", "value": 0.8}}, True),
        ({"best": {"epoch": 1, "metric": "accuracy", "value": 0.95}}, True),
    ],
)
def test_a_state_of_another_training_of_the_same_images_is_refused(both, unlabeled, capsys, recorded, same):
    """Settings that a training may be continued with do not count; ``forgotten`` is the best one before a restart."""
    best_model = {"best_metric": 0.8, "best_epoch": 4, "forgotten": (0.95, 1)}
    save_state(both, trained_settings={"config": CONFIG}, best_model=best_model)
    record(both, **recorded)
    code, _ = suggest(both, unlabeled)
    assert code == (0 if same else 2)
    assert ("training_state.pt is of another training than" in capsys.readouterr().err) == (not same)


def test_a_state_that_is_named_must_exist(both, unlabeled, tmp_path, capsys):
    code, rows = suggest(both, unlabeled, "--training_state", str(tmp_path / "typo.pt"))
    assert (code, rows) == (2, [])
    said = capsys.readouterr().err
    assert f"training_state: {tmp_path / 'typo.pt'} does not exist; give the file" in said
    assert "--training_state null" in said


def test_the_state_of_a_real_training_is_its_own_and_the_one_before_its_last_epoch_is_not_used(
    phantoms, tmp_path, caplog
):
    models = tmp_path / "models"
    train_here(models, phantoms, max_epochs=2, logging_file=False)  # it would change how the tests that follow log
    for number in range(3):
        draw(tmp_path / "unlabeled" / f"{number}.png", number)
    _, rows = suggest(models, tmp_path / "unlabeled")
    assert "main_covid19" in rows[0]
    assert origin(models)["training_state_epoch"] == 2
    with caplog.at_level(logging.WARNING, "dwskd_monai"):
        suggest(models, tmp_path / "unlabeled", "--training_state", str(models / "training_state.previous.pt"))
    assert "are those of epoch 1 of 2" in caplog.text
