"""The networks of a trained bundle that judge studies: its two students, if the weights of both are there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from dwskd_monai import checkpoints
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.ensemble import Ensemble
from dwskd_monai.training.both_students import has_both, is_of_training, progress_of, was_interrupted

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Committee:
    """Networks that judge each slice.

    Args:
        networks: each judges once.
        deployed: places of those whose mean probability the bundle predicts.
        students: places of those that are compared: two, or one if there is only one network.
        epoch: after which the training wrote the state that was read; None: none was.
    """

    networks: Sequence[nn.Module]
    deployed: Sequence[int]
    students: Sequence[int]
    epoch: int | None = None


def open_committee(trained: TrainedBundle, training_state: str | Path | None) -> Committee:
    """The networks of a bundle.

    With ``deploy: both``, the deployed network holds both students. Otherwise they come from ``training_state``, as
    they were at the end of the training. Both do, because the deployed network may be either of them, at its best
    epoch.

    Args:
        trained: the bundle.
        training_state: the file; None, a file that does not exist, or one of a training that was interrupted: the
            deployed network judges alone.

    Raises:
        ValueError: if the file is damaged, or is of another training.
    """
    network = trained.network
    if isinstance(network, Ensemble):
        return Committee([*network.networks], [0, 1], [0, 1])
    alone = Committee([network], [0], [0])
    if training_state is None:
        _logger.warning("only the deployed network judges: training_state is null")
        return alone
    if not Path(training_state).is_file():
        _logger.warning(
            "only the deployed network judges: both students would be in %s, which is not there", training_state
        )
        return alone
    state = checkpoints.load(training_state)
    if not has_both(state):
        _logger.warning("only the deployed network judges: %s has only one student", training_state)
        return alone
    if not is_of_training(state, trained.settings.images["training"] or [], trained.settings.origin):
        raise _of_another_training(training_state, trained)
    epoch, epochs = progress_of(state)
    if was_interrupted(state):
        _logger.warning(
            "only the deployed network judges: the training was interrupted, and the students in %s are those of epoch "
            "%d of %d; continue it: dwskd train … --resume true", training_state, epoch, epochs,
        )  # fmt: skip
        return replace(alone, epoch=epoch)
    students = [trained.settings.create_network().eval() for _ in range(2)]
    for student, name in zip(students, ("network", "auxiliary_network"), strict=True):
        try:
            student.load_state_dict(state[name])
        except RuntimeError as error:
            raise _of_another_training(training_state, trained) from error
    return Committee([network, *students], [0], [1, 2], epoch)


def _of_another_training(training_state: str | Path, trained: TrainedBundle) -> ValueError:
    return ValueError(
        f"training_state: {training_state} is of another training than {trained.weights}; give the file of its own "
        "training, --training_state FILE, or use the deployed network alone: --training_state null"
    )
