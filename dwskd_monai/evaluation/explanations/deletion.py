"""Whether maps mean anything: the most salient pixels are removed, and the probability of the class should fall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from monai.networks.utils import eval_mode
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dwskd_monai.evaluation.shortcuts.parts import blurred

SHARE = 0.2  # of the pixels that is removed
_RANDOM_MAPS = 5
_RANDOM_SIDE = 8  # numbers of a side of a random map, about as fine as the maps


@dataclass(frozen=True)
class Deletion:
    """How much the probability of a class falls, for each image.

    Args:
        by_map: ``(N,)``, without the pixels that its map marks.
        by_random: without as many pixels that a map of random numbers marks, the mean of five maps.
        by_other: without those that the map of another image marks.
    """

    by_map: NDArray[np.float64]
    by_random: NDArray[np.float64]
    by_other: NDArray[np.float64]


def most_salient(saliency: NDArray[np.floating], random: np.random.Generator) -> NDArray[np.bool_]:
    """The fifth of the pixels with the highest values ``(H, W)``; of equal ones, some are drawn."""
    count = round(SHARE * saliency.size)
    order = np.lexsort((random.random(saliency.size), saliency.ravel()))
    chosen = np.zeros(saliency.size, dtype=bool)
    chosen[order[saliency.size - count :]] = True
    return chosen.reshape(saliency.shape)


def deletion(
    network: nn.Module, images: list[Tensor], classes: list[int], maps: list[NDArray[np.float32]], seed: int = 0
) -> Deletion:
    """Remove pixels of each image: they are replaced by those of the blurred image.

    Noise in place of blur, or single random pixels in place of patches, would be unlike any image, so that the
    probability would fall for that reason alone.

    Args:
        network: whose maps are tested.
        images: each ``(1, C, H, W)``, on the network's device.
        classes: whose probability should fall, one for each image.
        maps: ``(H, W)`` of each image.
        seed: of the random maps.
    """
    random = np.random.default_rng(seed)
    drops = []
    for place, (image, index) in enumerate(zip(images, classes, strict=True)):
        others = [
            maps[place],
            maps[(place + 1) % len(maps)],
            *(_random_map(image, random) for _ in range(_RANDOM_MAPS)),
        ]
        removed = [_without(image, most_salient(one, random)) for one in others]
        with torch.no_grad(), eval_mode(network):
            probabilities = network(torch.cat([image, *removed])).float().softmax(1)[:, index].double().cpu().numpy()
        drops.append(probabilities[0] - probabilities[1:])
    table = np.array(drops).reshape(len(images), 2 + _RANDOM_MAPS)
    return Deletion(table[:, 0], table[:, 2:].mean(1), table[:, 1])


def _without(image: Tensor, pixels: NDArray[np.bool_]) -> Tensor:
    return torch.where(torch.from_numpy(pixels).to(image.device), blurred(image), image)


def _random_map(image: Tensor, random: np.random.Generator) -> NDArray[np.float32]:
    coarse = torch.from_numpy(random.random((1, 1, _RANDOM_SIDE, _RANDOM_SIDE), dtype=np.float32))
    fine: NDArray[np.float32] = interpolate(coarse, size=image.shape[2:], mode="bilinear")[0, 0].numpy()
    return fine
