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


def save_state(path: Path, main: nn.Module, auxiliary: nn.Module, students: int = 2) -> None:
    networks = {"network": main.state_dict(), "auxiliary_network": auxiliary.state_dict()}
    torch.save({**networks, "trainer": {"students": students}}, path)


@pytest.fixture
def files(tmp_path):
    main, auxiliary = make_student(), make_student()
    auxiliary[2].num_batches_tracked.fill_(7)
    save_state(tmp_path / "training_state.pt", main, auxiliary)
    return main, auxiliary, tmp_path / "training_state.pt"


def test_an_ensemble_predicts_the_mean_of_the_probabilities(files):
    main, auxiliary, state = files
    both = combine_students(make_student(), make_student(), state, "ensemble")
    image = torch.randn(6, 1, 2, 2)
    expected = (main(image).softmax(1) + auxiliary(image).softmax(1)) / 2
    torch.testing.assert_close(both(image).softmax(1), expected)


def test_a_soup_has_the_mean_of_the_weights_and_mains_counters(files):
    main, auxiliary, state = files
    soup = combine_students(make_student(), make_student(), state, "soup")
    auxiliary_state = auxiliary.state_dict()
    got = soup.state_dict()
    for name, value in main.state_dict().items():
        expected = (value + auxiliary_state[name]) / 2 if value.is_floating_point() else value
        torch.testing.assert_close(got[name], expected, msg=name)


def test_a_soup_of_equal_students_is_the_student(files):
    main, _, state = files
    save_state(state, main, main)
    soup = combine_students(make_student(), copy.deepcopy(main), state, "soup")
    image = torch.randn(6, 1, 2, 2)
    torch.testing.assert_close(soup(image), main(image))


@pytest.mark.parametrize("combine", ["ensemble", "soup"])
def test_a_training_that_made_one_student_is_refused(files, combine):
    """Without an auxiliary its network is still part of the state, untrained."""
    main, auxiliary, state = files
    save_state(state, main, auxiliary, students=1)
    with pytest.raises(ValueError, match="training_state.pt has only one student; train with auxiliary: ema"):
        combine_students(make_student(), make_student(), state, combine)


@pytest.mark.parametrize(("auxiliary", "students"), [("mutual", 2), ("ema", 2), ("frozen", 1), ("none", 1)])
def test_the_state_of_a_training_tells_whether_there_are_two_to_combine(tmp_path, auxiliary, students):
    trainer = make_trainer(auxiliary=auxiliary, max_epochs=1)
    objects = {"network": trainer.network, "auxiliary_network": trainer.auxiliary_network or Student()}
    TrainingStateHandler(tmp_path / "state.pt", objects).attach(trainer)
    trainer.run()
    state = tmp_path / "state.pt"
    if students == 1:
        with pytest.raises(ValueError, match=r"state.pt has only one student"):
            combine_students(Student(), Student(), state, "ensemble")
    else:
        assert len(combine_students(Student(), Student(), state, "ensemble").networks) == 2


@pytest.mark.parametrize("combine", ["ensemble", "soup"])
def test_a_network_that_is_both_students_already_is_refused(files, combine):
    *_, state = files
    both = Ensemble(make_student(), make_student())
    with pytest.raises(ValueError, match=r"the network is both students already \(deploy: both\); evaluate it without"):
        combine_students(both, make_student(), state, combine)


def test_what_is_wrong_is_named(files):
    *_, state = files
    with pytest.raises(ValueError, match="combine must be one of ensemble, soup; got 'mean'"):
        combine_students(make_student(), make_student(), state, "mean")
    torch.save({"network": {}}, state)
    with pytest.raises(ValueError, match="training_state.pt has only one student; train with auxiliary: ema"):
        combine_students(make_student(), make_student(), state, "soup")
    state.unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no file .*training_state.pt"):
        combine_students(make_student(), make_student(), state, "ensemble")
