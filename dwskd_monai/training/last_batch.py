"""Whether the last batch of an epoch is trained on."""

from __future__ import annotations

import logging
from collections.abc import Sized

import ignite.distributed as idist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_logger = logging.getLogger(__name__)


def drops_last_batch(network: nn.Module, images: Sized, batch_size: int) -> bool:
    """Whether to leave out the last batch because it has a single image and the network has batch norm.

    torch refuses such a batch where there is nothing to average, for instance after pooling. Elsewhere the mean and
    variance of this one image enter the running ones. As images are shuffled, each epoch leaves out a different one.

    Args:
        network: the network that is trained.
        images: of an epoch, or their sampler.
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
