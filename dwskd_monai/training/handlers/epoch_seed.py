"""Seed each epoch on its own."""

from __future__ import annotations

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd
from torch.utils.data import Dataset


class EpochSeedHandler:
    """Seed order, augmentation and dropout from (seed, epoch, rank) when an epoch starts.

    A run that is continued at epoch n then sees the same images as an uninterrupted one. The state of ignite's engine
    holds no random state. Its ``DeterministicEngine`` seeds torch, numpy and random, but MONAI's transforms have random
    states of their own, which MONAI seeds only when a worker process starts.

    Args:
        seed: of the run.
        dataset: its random transforms are seeded too, for loading without worker processes.
    """

    def __init__(self, seed: int, dataset: Dataset) -> None:
        self.seed = seed
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        """Seed at the start of each epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed torch and the dataset's transforms."""
        seed = (self.seed * 100_003 + engine.state.epoch) * 1_009 + idist.get_rank()
        torch.manual_seed(seed)
        set_rnd(self.dataset, seed % 2**32)
