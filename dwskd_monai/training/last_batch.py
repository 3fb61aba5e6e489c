"""Whether the last batch of an epoch is trained on."""

from __future__ import annotations

import logging
from collections.abc import Sized

import ignite.distributed as idist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_logger = logging.getLogger(__name__)


def drops_last_batch(network: nn.Module, images: Sized, batch_size: int) -> bool:
    """Whether to leave out the last batch: if it has one image, which batch norm cannot normalize over.

    torch refuses such a batch where nothing is left to average, after pooling for instance, and elsewhere lets the
    image's own mean and variance into the running ones. As images are shuffled, each epoch leaves out another one.

    Args:
        network: that is trained.
        images: of an epoch, or what samples them.
        batch_size: images per batch.
    """
    count = len(images)
    if batch_size == 1 or count <= batch_size or count % batch_size != 1:
        return False
    if not any(isinstance(module, _BatchNorm) for module in network.modules()):
        return False
    if idist.get_rank() == 0:
        _logger.info(
            "batch norm: the last batch of an epoch would have one image (%d slices in batches of %d); each "
            "epoch leaves out one slice, chosen at random",
            count,
            batch_size,
        )
    return True
