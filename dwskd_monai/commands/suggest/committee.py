"""The networks of a trained bundle that judge studies: its two students, if the weights of both are there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from dwskd_monai import checkpoints
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.ensemble import Ensemble
from dwskd_monai.training.both_students import has_both, is_of_training

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Committee:
    """Networks that judge each slice.

    Args:
        networks: each judges once.
        deployed: places of those whose mean probability the bundle predicts.
        students: places of those that are compared: two, or one if there is only one network.
    """

    networks: Sequence[nn.Module]
    deployed: Sequence[int]
    students: Sequence[int]


def open_committee(trained: TrainedBundle, training_state: str | Path | None) -> Committee:
    """The networks of a bundle.

    With ``deploy: both``, the deployed network holds both students. Otherwise they come from ``training_state``, as
    they were at the end of the training. Both do, because the deployed network may be either of them, at its best
    epoch.

    Args:
        trained: the bundle.
        training_state: the file; None, or a file that does not exist: the deployed network judges alone.

    Raises:
        ValueError: if the file is damaged, or is of another training.
    """
    network = trained.network
    if isinstance(network, Ensemble):
        return Committee([*network.networks], [0, 1], [0, 1])
    alone = Committee([network], [0], [0])
    if training_state is None or not Path(training_state).is_file():
        _logger.warning(
            "only the deployed network judges: both students would be in %s, which is not there", training_state
        )
        return alone
    state = checkpoints.load(training_state)
    if not has_both(state):
        _logger.warning("only the deployed network judges: %s has only one student", training_state)
        return alone
    if not is_of_training(state, trained.settings.images["training"] or []):
        raise _of_another_training(training_state, trained)
    students = [trained.settings.create_network().eval() for _ in range(2)]
    for student, name in zip(students, ("network", "auxiliary_network"), strict=True):
        try:
            student.load_state_dict(state[name])
        except RuntimeError as error:
            raise _of_another_training(training_state, trained) from error
    return Committee([network, *students], [0], [1, 2])


def _of_another_training(training_state: str | Path, trained: TrainedBundle) -> ValueError:
    return ValueError(
        f"training_state: {training_state} is of another training than {trained.weights}; give the file of its own "
        "training, --training_state FILE, or use the deployed network alone: --training_state null"
    )
