from __future__ import annotations

import pytest

from dwskd_monai.training.auxiliary import restart_epoch
from dwskd_monai.training.schedule import Accumulation, EpochSchedule, Phase, slices_per_epoch

INDEPENDENT, DISTILLING, FINE_TUNING = Phase


def phases(schedule: EpochSchedule) -> list[Phase]:
    return [schedule.phase(epoch) for epoch in range(1, schedule.max_epochs + 1)]


@pytest.mark.parametrize("max_epochs", [1, 4, 7])
def test_phases_follow_each_other_and_have_their_numbers_of_epochs(max_epochs):
    for distillation_epochs in range(max_epochs + 1):
        for independent_epochs in range(distillation_epochs + 1):
            expected = (
                [INDEPENDENT] * independent_epochs
                + [DISTILLING] * (distillation_epochs - independent_epochs)
                + [FINE_TUNING] * (max_epochs - distillation_epochs)
            )
            assert phases(EpochSchedule(max_epochs, distillation_epochs, independent_epochs)) == expected


@pytest.mark.parametrize(
    ("given", "epochs"), [(None, 4), (0, 0), (1, 1), (3, 3), (0.0, 0), (0.75, 3), (0.6, 2), (1.0, 4)]
)
def test_distillation_takes_epochs_or_a_share_of_them(given, epochs):
    assert EpochSchedule.of(4, given) == EpochSchedule(max_epochs=4, distillation_epochs=epochs)


@pytest.mark.parametrize(("given", "epochs"), [(0, 0), (1, 1), (2, 2), (0.5, 1), (1.0, 2)])
def test_independent_epochs_are_some_of_those_of_distillation(given, epochs):
    schedule = EpochSchedule.of(4, 2, given)
    assert schedule.independent_epochs == epochs
    expected = [epoch <= epochs for epoch in (1, 2, 3, 4)]
    assert [phase is INDEPENDENT for phase in phases(schedule)] == expected
    assert [phase is not FINE_TUNING for phase in phases(schedule)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), r"max_epochs must be in \[1, inf\]; got 0"),
        ((2, 3), r"distillation_epochs must be in \[0, 2\]; got 3"),
        ((2, -1), r"distillation_epochs must be in \[0, 2\]; got -1"),
        ((2, 1.5), r"distillation_epochs, as a share, must be in \[0, 1\]; got 1.5"),
        ((2, float("nan")), r"distillation_epochs, as a share, must be in \[0, 1\]; got nan"),
        ((2, 1, 2), r"independent_epochs must be in \[0, 1\]; got 2"),
        ((2, 2, -0.5), r"independent_epochs, as a share, must be in \[0, 1\]; got -0.5"),
    ],
)
def test_wrong_numbers_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        EpochSchedule.of(*arguments)


@pytest.mark.parametrize(
    ("epoch_length", "steps", "groups"),
    [(4, 1, [[1], [2], [3], [4]]), (4, 2, [[1, 2], [3, 4]]), (5, 2, [[1, 2], [3, 4], [5]]), (3, 8, [[1, 2, 3]])],
)
def test_batches_are_accumulated_within_an_epoch(epoch_length, steps, groups):
    for epoch in range(2):
        for group in groups:
            for batch in group:
                got = Accumulation.at(epoch * epoch_length + batch, epoch_length, steps)
                assert got == (len(group), batch == group[0], batch == group[-1])


@pytest.mark.parametrize(("given", "epochs"), [(0.5, 2), (0.26, 1), (3, 3), (0.1, 1), (0.95, 3)])
def test_main_starts_again_after_the_epochs_of_learning_alone(given, epochs):
    schedule = EpochSchedule.with_restart(4, given)
    assert phases(schedule) == [INDEPENDENT] * epochs + [FINE_TUNING] * (4 - epochs)
    assert restart_epoch("soft_labels", 4, given) == restart_epoch("own_soft_labels", 4, given) == epochs
    assert restart_epoch("mutual", 4, given) is None


@pytest.mark.parametrize("given", [0, 0.0, 4, 1.0])
def test_both_parts_of_a_training_with_a_restart_have_epochs(given):
    with pytest.raises(ValueError, match=r"label_epochs: .* got \d of 4; give 0.5, or a number from 1 to 3"):
        EpochSchedule.with_restart(4, given)


def test_a_training_of_one_epoch_has_no_middle():
    with pytest.raises(ValueError, match="soft labels are made in the middle of a training: 2 or more, got 1"):
        EpochSchedule.with_restart(1, 0.5)


@pytest.mark.parametrize("min_steps", [0, 1, 999, 1000, 1001])
@pytest.mark.parametrize("accumulation_steps", [1, 3])
@pytest.mark.parametrize("processes", [1, 2])
def test_epochs_are_long_enough_for_the_steps_and_no_longer(min_steps, accumulation_steps, processes, monkeypatch):
    monkeypatch.setattr("ignite.distributed.get_world_size", lambda: processes)
    max_epochs, batch_size = 40, 16
    slices = slices_per_epoch(min_steps, max_epochs, batch_size, accumulation_steps)
    steps_per_epoch = slices / processes / batch_size / accumulation_steps
    assert min_steps <= max_epochs * steps_per_epoch < min_steps + max_epochs


def test_a_negative_length_is_refused():
    with pytest.raises(ValueError, match=r"min_steps must be in \[0, inf\]; got -1"):
        slices_per_epoch(-1, 40, 16)
