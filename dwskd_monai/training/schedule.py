"""Which phase each epoch of a training belongs to, and which batches make one optimizer step.

In the first epochs each student learns alone, then both learn together, and in the last epochs main learns alone; it
starts again for these if images have been labeled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import ignite.distributed as idist

from dwskd_monai.training.checks import in_range


class Phase(Enum):
    """What happens in an epoch."""

    INDEPENDENT = "each student learns from the labels alone"
    DISTILLING = "each student learns from the labels and from the other student"
    FINE_TUNING = "main learns from the labels, and from soft labels if there are any; the auxiliary rests"


@dataclass(frozen=True)
class EpochSchedule:
    """The phases of a training, in whole epochs::

        epoch          1 … i          i + 1 … d      d + 1 … max_epochs
        phase          independent    distilling     fine-tuning

    where i is ``independent_epochs`` and d is ``distillation_epochs``. :meth:`of` also takes shares.

    Args:
        max_epochs: number of all epochs, 1 or more.
        distillation_epochs: d, the epochs in which the auxiliary takes part, at most ``max_epochs``.
        independent_epochs: i, how many of these pass before the students learn from each other, at most d.

    Raises:
        ValueError: for a number outside its range; the message names it.

    Examples:
        >>> schedule = EpochSchedule.of(40, distillation_epochs=0.75, independent_epochs=0.5)
        >>> schedule
        EpochSchedule(max_epochs=40, distillation_epochs=30, independent_epochs=15)
        >>> [schedule.phase(epoch).name for epoch in (15, 16, 31)]
        ['INDEPENDENT', 'DISTILLING', 'FINE_TUNING']
    """

    max_epochs: int
    distillation_epochs: int
    independent_epochs: int = 0

    def __post_init__(self) -> None:
        in_range("max_epochs", self.max_epochs, 1, math.inf)
        in_range("distillation_epochs", self.distillation_epochs, 0, self.max_epochs)
        in_range("independent_epochs", self.independent_epochs, 0, self.distillation_epochs)

    @classmethod
    def of(
        cls, max_epochs: int, distillation_epochs: float | None = None, independent_epochs: float = 0
    ) -> EpochSchedule:
        """A schedule from whole numbers of epochs or from shares.

        ``EpochSchedule.of(40, 0.75, 0.5)`` has 15 independent epochs, 15 of distilling and 10 of fine-tuning.

        Args:
            max_epochs: epochs in all.
            distillation_epochs: an int, or a float: their share of ``max_epochs``, rounded to whole epochs. None: all.
            independent_epochs: an int, or a float: their share of ``distillation_epochs``.

        Raises:
            ValueError: for a number or a share outside its range; the message names it.
        """
        if distillation_epochs is None:
            distillation_epochs = max_epochs
        distillation_epochs = _whole_epochs("distillation_epochs", distillation_epochs, max_epochs)
        independent_epochs = _whole_epochs("independent_epochs", independent_epochs, distillation_epochs)
        return cls(max_epochs, distillation_epochs, independent_epochs)

    @classmethod
    def with_restart(cls, max_epochs: int, label_epochs: float) -> EpochSchedule:
        """A schedule for networks that learn alone and then label images, after which main starts again.

        Args:
            max_epochs: epochs in all.
            label_epochs: those before the images are labeled, an int; or a float, their share of ``max_epochs``, which
                leaves each part one epoch at least.

        Raises:
            ValueError: for a number outside its range, or if either part has no epoch.
        """
        if max_epochs < 2:
            raise ValueError(
                f"max_epochs: soft labels are made in the middle of a training: 2 or more, got {max_epochs}"
            )
        epochs = _whole_epochs("label_epochs", label_epochs, max_epochs)
        if isinstance(label_epochs, float) and 0 < label_epochs < 1:
            epochs = min(max(epochs, 1), max_epochs - 1)
        if not 0 < epochs < max_epochs:
            raise ValueError(
                "label_epochs: networks need epochs to learn before they label images, and main needs some after its "
                f"restart: got {epochs} of {max_epochs}; give 0.5, or a number from 1 to {max_epochs - 1}"
            )
        return cls(max_epochs, epochs, epochs)

    def phase(self, epoch: int) -> Phase:
        """The phase of an epoch, counted from 1."""
        if epoch <= self.independent_epochs:
            return Phase.INDEPENDENT
        if epoch <= self.distillation_epochs:
            return Phase.DISTILLING
        return Phase.FINE_TUNING


class Accumulation(NamedTuple):
    """The position of a batch among those whose gradients make one optimizer step.

    Args:
        batches: how many batches make the step.
        is_first: whether this batch is the first of them.
        is_last: whether it is the last of them.
    """

    batches: int
    is_first: bool
    is_last: bool

    @classmethod
    def at(cls, iteration: int, epoch_length: int, steps: int) -> Accumulation:
        """The position of an iteration, counted from 1; with steps = 2, 5 batches are divided into 1 2, 3 4, 5."""
        index = (iteration - 1) % epoch_length
        start = index - index % steps
        batches = min(steps, epoch_length - start)  # the last step of an epoch may have fewer
        return cls(batches, index == start, index == start + batches - 1)


def slices_per_epoch(min_steps: int, max_epochs: int, batch_size: int, accumulation_steps: int = 1) -> int:
    """How many slices each epoch needs, in all processes together, for a training of ``min_steps``.

    Few images make short epochs: 40 epochs of 60 images are 160 steps in batches of 16, too few to learn all that they
    can teach. Epochs that go through the images several times leave everything that is counted in epochs as it is:
    warm-up, phases, validation.

    Args:
        min_steps: optimizer steps of the whole training, at least.
        max_epochs: its epochs.
        batch_size: slices of a batch of one process.
        accumulation_steps: batches of an optimizer step.

    Raises:
        ValueError: for a number outside its range; the message names it.

    Examples:
        >>> slices_per_epoch(min_steps=2000, max_epochs=40, batch_size=16)
        800
    """
    in_range("min_steps", min_steps, 0, math.inf)
    in_range("max_epochs", max_epochs, 1, math.inf)
    return math.ceil(min_steps / max_epochs) * accumulation_steps * batch_size * idist.get_world_size()


def _whole_epochs(name: str, epochs: float, of: int) -> int:
    """``epochs`` itself if it is an int; if it is a float, the number of epochs that is this share of ``of`` epochs."""
    if isinstance(epochs, int):
        return epochs
    in_range(f"{name}, as a share,", epochs, 0, 1)
    return round(epochs * of)
