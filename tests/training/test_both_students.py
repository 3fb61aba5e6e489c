from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from dwskd_monai.ensemble import Ensemble
from dwskd_monai.training import TrainingStateHandler
from dwskd_monai.training.both_students import combine_students
from tests.training.test_trainer import Student, make_trainer


def make_student() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).eval()


def save_state(path: Path, auxiliary: nn.Module, students: int = 2) -> None:
    torch.save({"auxiliary_network": auxiliary.state_dict(), "trainer": {"students": students}}, path)


@pytest.fixture
def files(tmp_path):
    main, auxiliary = make_student(), make_student()
    auxiliary[2].num_batches_tracked.fill_(7)
    torch.save(main.state_dict(), tmp_path / "model.pt")
    save_state(tmp_path / "training_state.pt", auxiliary)
    return main, auxiliary, tmp_path / "model.pt", tmp_path / "training_state.pt"


def test_an_ensemble_predicts_the_mean_of_the_probabilities(files):
    main, auxiliary, *paths = files
    both = combine_students(make_student(), make_student(), *paths, "ensemble")
    image = torch.randn(6, 1, 2, 2)
    expected = (main(image).softmax(1) + auxiliary(image).softmax(1)) / 2
    torch.testing.assert_close(both(image).softmax(1), expected)


def test_a_soup_has_the_mean_of_the_weights_and_mains_counters(files):
    main, auxiliary, *paths = files
    soup = combine_students(make_student(), make_student(), *paths, "soup")
    auxiliary_state = auxiliary.state_dict()
    got = soup.state_dict()
    for name, value in main.state_dict().items():
        expected = (value + auxiliary_state[name]) / 2 if value.is_floating_point() else value
        torch.testing.assert_close(got[name], expected, msg=name)


def test_a_soup_of_equal_students_is_the_student(files):
    main, _, weights, state = files
    save_state(state, main)
    soup = combine_students(make_student(), copy.deepcopy(main), weights, state, "soup")
    image = torch.randn(6, 1, 2, 2)
    torch.testing.assert_close(soup(image), main(image))


@pytest.mark.parametrize("combine", ["ensemble", "soup"])
def test_a_training_that_made_one_student_is_refused(files, combine):
    """Without an auxiliary its network is still part of the state, untrained."""
    _, auxiliary, weights, state = files
    save_state(state, auxiliary, students=1)
    with pytest.raises(ValueError, match="training_state.pt has only one student; train with auxiliary: ema"):
        combine_students(make_student(), make_student(), weights, state, combine)


@pytest.mark.parametrize(("auxiliary", "students"), [("mutual", 2), ("ema", 2), ("frozen", 1), ("none", 1)])
def test_the_state_of_a_training_tells_whether_there_are_two_to_combine(tmp_path, auxiliary, students):
    trainer = make_trainer(auxiliary=auxiliary, max_epochs=1)
    objects = {"network": trainer.network, "auxiliary_network": trainer.auxiliary_network or Student()}
    TrainingStateHandler(tmp_path / "state.pt", objects).attach(trainer)
    trainer.run()
    torch.save(trainer.network.state_dict(), tmp_path / "model.pt")
    paths = (tmp_path / "model.pt", tmp_path / "state.pt")
    if students == 1:
        with pytest.raises(ValueError, match=r"state.pt has only one student"):
            combine_students(Student(), Student(), *paths, "ensemble")
    else:
        assert len(combine_students(Student(), Student(), *paths, "ensemble").networks) == 2


@pytest.mark.parametrize("combine", ["ensemble", "soup"])
def test_a_network_that_is_both_students_already_is_refused(files, combine):
    *_, weights, state = files
    both = Ensemble(make_student(), make_student())
    with pytest.raises(ValueError, match=r"model.pt is both students already \(deploy: both\); evaluate it without"):
        combine_students(both, make_student(), weights, state, combine)


def test_what_is_wrong_is_named(files):
    *_, weights, state = files
    with pytest.raises(ValueError, match="combine must be one of ensemble, soup; got 'mean'"):
        combine_students(make_student(), make_student(), weights, state, "mean")
    torch.save({"network": {}}, state)
    with pytest.raises(ValueError, match="training_state.pt has only one student; train with auxiliary: ema"):
        combine_students(make_student(), make_student(), weights, state, "soup")
    state.unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no file .*training_state.pt"):
        combine_students(make_student(), make_student(), weights, state, "ensemble")
