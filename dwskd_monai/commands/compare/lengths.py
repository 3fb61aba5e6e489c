"""How long a rival is trained."""

from __future__ import annotations

from dwskd_monai.training.schedule import EpochSchedule


def epochs_of_labeling(max_epochs: int, label_epochs: float) -> int:
    """The epochs of all networks of a training that labels images: of main, and of another one until they are labeled.

    Args:
        max_epochs, label_epochs: as of :meth:`~dwskd_monai.training.schedule.EpochSchedule.with_restart`.

    Examples:
        >>> epochs_of_labeling(40, 0.5)
        60
    """
    return max_epochs + EpochSchedule.with_restart(max_epochs, label_epochs).distillation_epochs
