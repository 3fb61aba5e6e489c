"""What a handler makes of given logits."""

from __future__ import annotations

import csv

import torch
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd
from torch import nn

LOGITS = torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])


def evaluate(
    handler, logits=LOGITS, slices=(1, 1, 1, 1), labels=(0, 2, 2, 2), labeled=True, lost=(), planes=None
) -> None:
    """Predict studies of so many slices each, batches going across studies; those of ``lost`` are never predicted."""
    items = [
        {"study": f"{number}.png", "slice": index, "slices": count, "label": label, "rank": number}
        for number, (count, label) in enumerate(zip(slices, labels))
        for index in range(count)
    ]
    kept = [number for number in range(len(items)) if number not in lost]
    logits = logits[kept]
    items = [items[number] for number in kept]
    batches = []
    for first in range(0, len(items), 3):
        part = items[first : first + 3]
        batch = {"image": logits[first : first + 3], "study": [item["study"] for item in part]}
        keys = ("slice", "slices", "label") if labeled else ("slice", "slices")
        batch |= {key: torch.tensor([item[key] for item in part]) for key in keys}
        if planes is not None:
            batch["plane"] = [planes[item["rank"]] for item in part]
        batches.append(batch)
    SupervisedEvaluator(
        "cpu",
        val_data_loader=batches,
        network=nn.Identity(),
        postprocessing=Activationsd(keys="pred", softmax=True),
        val_handlers=[handler],
    ).run()


def read_rows(path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))
