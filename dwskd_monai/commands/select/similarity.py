"""How similar the features of students and teacher are on images, before any training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from monai.transforms import Compose
from torch import Tensor, nn
from tqdm import tqdm

from dwskd_monai.preprocessing.transforms import FitSlicesd, LoadSlicesd, NormalizeSlicesd, ScalePercentilesd
from dwskd_monai.reading.find import find_images
from dwskd_monai.weight_selection import (
    ELEMENT_RULES,
    Rules,
    block_grams,
    block_similarity,
    select_layers,
    select_weights,
    stages,
)

BATCH = 32
MOST_IMAGES = 128


def read_images(folder: Path, shape: Sequence[int]) -> list[Tensor]:
    """Batches of the middle slices of up to 128 studies, evenly spaced in the order of their names."""
    if not folder.is_dir():
        raise FileNotFoundError(f"images: {folder} is not a folder")
    found, _ = find_images(folder, dicom_series=True)
    if len(found) < 4:
        raise ValueError(f"images: {folder} has {len(found)} images; at least 4 are needed to compare features")
    count = min(len(found), MOST_IMAGES)
    transform = Compose(
        [
            LoadSlicesd("image"),
            FitSlicesd("image", shape[-1], keep_aspect=False),
            ScalePercentilesd("image"),
            NormalizeSlicesd("image", mean=0.5, std=0.5),
        ]
    )
    slices = []
    for index in tqdm(range(count), desc="reading images", leave=False, disable=None):
        item = cast(dict[str, Any], transform({"image": found[index * len(found) // count]}))
        volume = torch.as_tensor(item["image"])
        slices.append(volume[:, volume.shape[1] // 2].expand(shape[0], -1, -1))
    batches = list(torch.stack(slices).split(BATCH))
    return batches if len(batches[-1]) >= 4 else batches[:-1]


def similarities(
    teacher: nn.Module,
    main: nn.Module,
    auxiliary: nn.Module,
    unselected: nn.Module,
    rules: Rules,
    batches: Sequence[Tensor],
) -> dict[str, dict[str, float]]:
    """CKA of each block with the teacher's block: for both students, each rule for elements, and random weights."""
    layers = select_layers(teacher, main, rules.layers)
    names = stages(main)
    blocks = {f"{stage}.{name}": layers.names[f"{stage}.{name}"] for stage in layers.blocks for name in names[stage]}
    grams = block_grams(teacher, list(blocks.values()), batches)
    found = {
        f"main ({rules.elements})": block_similarity(grams, main, blocks, batches),
        f"auxiliary ({rules.elements})": block_similarity(grams, auxiliary, blocks, batches),
    }
    found["random weights"] = block_similarity(grams, unselected, blocks, batches)
    others = [rule for rule in ELEMENT_RULES if rule != rules.elements]
    for elements in tqdm(others, desc="comparing rules", leave=False, disable=None):
        select_weights(teacher, unselected, Rules(rules.layers, elements, rules.offset, rules.seed, rules.rescale))
        found[elements] = block_similarity(grams, unselected, blocks, batches)
    return found
