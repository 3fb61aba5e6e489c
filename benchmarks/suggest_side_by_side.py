"""As ``suggest.py``, with the runs of all sets and seeds trained side by side on one GPU.

    python benchmarks/suggest_side_by_side.py --out suggest.csv

Two complementary students of each run learn from the labels so far, and judge all other images whose class is known.
``suggest`` labels those that ``dwskd suggest`` would choose if each image were of another patient: students disagree on
them, and they differ from each other; ``random`` labels any. Then both students start again. Both ways begin with the
same labels. Networks are measured at the last step, on test images that choose nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import fire
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from side_by_side import TRAININGS, balanced, prepared
from side_by_side_images import Pair, divided, with_labels
from side_by_side_training import SideBySide
from torch import Tensor
from tqdm import tqdm

from dwskd_monai.commands.suggest.choice import choose
from dwskd_monai.commands.suggest.scores import score

WAYS = ("suggest", "random")
STUDENTS = ("main", "auxiliary")


@dataclass(frozen=True)
class Judged:
    """What a network makes of images: probabilities ``(N, K)``, and the features that its classifier gets."""

    probabilities: Tensor
    features: Tensor


def simulate(
    out: str, data: str = "data", few: str = "results/few", teacher_weights: str = "results/imagenet.safetensors",
    seeds: int = 5, steps: int = 600, rounds: int = 4, count: int = 20, start: int = 5, at_once: int = 48,
    images: str | None = None,
) -> None:  # fmt: skip
    """Write a row for each set, fold, seed, way and round.

    Args:
        out: CSV file.
        data, few, teacher_weights, images, at_once: as of ``side_by_side.py``.
        seeds: of each set; each with two folds.
        steps: of each student in a round.
        rounds: how often further images are labeled.
        count: how many are labeled in a round.
        start: images of each class that are labeled at the beginning.
    """
    pixels, pairs = prepared(images, data, few, seeds)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pairs = [first_labeled(pair, start) for pair in pairs if pair.seed < seeds]
    trainer = SideBySide(pixels.to(device), pairs, teacher_weights, at_once)
    half = len(pairs)
    tests, pool = judged(trainer, pairs, steps, seed=0)
    rows = [row for way in WAYS for row in _rows(pairs, tests, way, 0)]
    pairs, pool = pairs * 2, pool * 2
    for number in tqdm(range(1, rounds + 1), desc="rounds"):
        pairs = labeled_further(pairs, pool, count, seed=number)
        tests, pool = judged(trainer, pairs, steps, seed=number)
        for way, part in zip(WAYS, (slice(half), slice(half, None)), strict=True):
            rows += _rows(pairs[part], tests[part], way, number)
        pd.DataFrame(rows).to_csv(out, index=False, float_format="%.6g")
    table = pd.DataFrame(rows).groupby(["set", "way", "round"])[["labels", "main_test", "both_test"]].mean()
    print(table.to_string())


def first_labeled(pair: Pair, start: int) -> Pair:
    """The pair with ``start`` labeled images of each class, and without images whose class nobody knows."""
    first = with_labels(pair, start)
    return replace(first, unlabeled=first.unlabeled[: len(first.truth)])


def labeled_further(pairs: Sequence[Pair], pool: Sequence[Sequence[Judged]], count: int, seed: int) -> list[Pair]:
    """The pairs after another round: the first half as ``suggest`` chooses, the second half at random."""
    further = []
    for index, (pair, students) in enumerate(zip(pairs, pool, strict=True)):
        if index < len(pairs) // 2:
            opinions = torch.stack([student.probabilities for student in students], 1).double().numpy()
            features = torch.cat([F.normalize(student.features, dim=1) for student in students], 1).double().numpy()
            own = [str(row) for row in pair.unlabeled]
            chosen = choose(score(opinions), features, own, count, seed)
        else:
            random = np.random.default_rng([pair.fold, pair.seed, seed])
            chosen = random.permutation(len(pair.unlabeled))[:count].tolist()
        labeled = [*range(len(pair.labeled)), *(len(pair.labeled) + place for place in chosen)]
        further.append(divided(pair, labeled))
    return further


def judged(
    trainer: SideBySide, pairs: Sequence[Pair], steps: int, seed: int
) -> tuple[list[list[Tensor]], list[list[Judged]]]:
    """Of both students of each pair: probabilities of test images, and what they make of those without a label."""
    tests: list[list[Tensor]] = [[] for _ in pairs]
    pool: list[list[Judged]] = [[] for _ in pairs]
    for student in STUDENTS:
        for begin in range(0, len(pairs), trainer.at_once):
            part = pairs[begin : begin + trainer.at_once]
            first = [trainer.first_weights(pair, student, seed) for pair in part]
            networks = trainer.networks(student, first)
            trainer.train(networks, part, TRAININGS[student], steps, 1000 * seed + begin)
            measured = trainer.probabilities(networks, part, [pair.test for pair in part])
            opinions = trainer.probabilities(networks, part, [pair.unlabeled for pair in part])
            features = trainer.features(networks, [pair.unlabeled for pair in part])
            for index in range(len(part)):
                tests[begin + index].append(measured[index])
                pool[begin + index].append(Judged(opinions[index], features[index]))
    return tests, pool


def _rows(pairs: Sequence[Pair], tests: Sequence[Sequence[Tensor]], way: str, number: int) -> list[dict[str, Any]]:
    rows = []
    for pair, students in zip(pairs, tests, strict=True):
        row: dict[str, Any] = {"set": pair.source, "fold": pair.fold, "seed": pair.seed, "way": way, "round": number}
        row |= {"labels": len(pair.labeled), "main_test": balanced(students[0], pair.test_labels)}
        rows.append(row | {"both_test": balanced(torch.stack(list(students)).mean(0), pair.test_labels)})
    return rows


if __name__ == "__main__":
    fire.Fire(simulate)
