"""As ``suggest.py``, with the runs of all sets and seeds trained side by side.

    python benchmarks/suggest_side_by_side.py --out suggest.csv

Two complementary students of each run learn from the labels so far, and judge all other images whose class is known.
``suggest`` labels those that ``dwskd suggest`` would choose if each image were of another patient: students disagree on
them, and they differ from each other; ``random`` labels any. Then both students start again. Both ways begin with the
same labels. Main is measured at the last step, on test images that choose nothing.
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
from side_by_side import SETS, TRAININGS, balanced, chosen_pairs, prepared
from side_by_side_images import Pair, divided, with_labels
from side_by_side_training import SideBySide
from torch import Tensor
from tqdm import tqdm

from dwskd_monai.commands.suggest.choice import choose
from dwskd_monai.commands.suggest.scores import score

STUDENTS = ("main", "auxiliary")


@dataclass(frozen=True)
class Judged:
    """What a network makes of images: probabilities ``(N, K)``, and the features that its classifier gets."""

    probabilities: Tensor
    features: Tensor


def simulate(
    out: str, data: str = "data", few: str = "results/few", teacher_weights: str = "results/imagenet.safetensors",
    seeds: int = 5, first_seed: int = 0, steps: int = 600, rounds: int = 4, count: int = 20, start: int = 5,
    at_once: int = 48, sets: str | Sequence[str] = SETS, images: str | None = None,
) -> None:  # fmt: skip
    """Write a row for each set, fold, seed, way and round.

    Args:
        out: CSV file.
        data, few, teacher_weights, images, at_once, sets: as of ``side_by_side.py``.
        seeds: of each set; each with two folds.
        first_seed: the first of them.
        steps: of each student in a round.
        rounds: how often further images are labeled.
        count: how many are labeled in a round.
        start: images of each class that are labeled at the beginning.
    """
    pixels, pairs = prepared(images, data, few, first_seed + seeds)
    pairs = chosen_pairs(pairs, range(first_seed, first_seed + seeds), [sets] if isinstance(sets, str) else sets)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pairs = [first_labeled(pair, start) for pair in pairs]
    trainer = SideBySide(pixels.to(device), pairs, teacher_weights, at_once)
    tests, pool = judged(trainer, pairs, STUDENTS, steps, seed=0)
    rows = [row for way in ("suggest", "random") for row in _rows(pairs, tests, way, 0)]
    suggested = others = pairs
    for number in tqdm(range(1, rounds + 1), desc="rounds"):
        suggested = [with_suggested(pair, own, count, number) for pair, own in zip(suggested, pool, strict=True)]
        others = [with_random(pair, count, number) for pair in others]
        students = STUDENTS if number < rounds else STUDENTS[:1]  # nothing is suggested after the last round
        tests, pool = judged(trainer, suggested, students, steps, seed=number)
        rows += _rows(suggested, tests, "suggest", number)
        tests, _ = judged(trainer, others, STUDENTS[:1], steps, seed=number)
        rows += _rows(others, tests, "random", number)
        pd.DataFrame(rows).to_csv(out, index=False, float_format="%.6g")
    table = pd.DataFrame(rows).groupby(["set", "way", "round"])[["labels", "test_balanced_accuracy"]].mean()
    print(table.to_string())


def first_labeled(pair: Pair, start: int) -> Pair:
    """The pair with ``start`` labeled images of each class, and without images whose class nobody knows."""
    first = with_labels(pair, start)
    return replace(first, unlabeled=first.unlabeled[: len(first.truth)])


def with_suggested(pair: Pair, students: Sequence[Judged], count: int, seed: int) -> Pair:
    """The pair with labels for ``count`` further images, which ``dwskd suggest`` would choose."""
    opinions = torch.stack([student.probabilities for student in students], 1).double().numpy()
    features = torch.cat([F.normalize(student.features, dim=1) for student in students], 1).double().numpy()
    own_patients = [str(row) for row in pair.unlabeled]
    return _with_labels_of(pair, choose(score(opinions), features, own_patients, count, seed))


def with_random(pair: Pair, count: int, seed: int) -> Pair:
    """The pair with labels for ``count`` further images, any of them."""
    random = np.random.default_rng([pair.fold, pair.seed, seed])
    return _with_labels_of(pair, random.permutation(len(pair.unlabeled))[:count].tolist())


def _with_labels_of(pair: Pair, chosen: Sequence[int]) -> Pair:
    count = len(pair.labeled)
    return divided(pair, [*range(count), *(count + place for place in chosen)])


def judged(
    trainer: SideBySide, pairs: Sequence[Pair], students: Sequence[str], steps: int, seed: int
) -> tuple[list[Tensor], list[list[Judged]]]:
    """Of each pair: the first student's probabilities of test images, and what each makes of those without a label."""
    tests: list[Tensor] = []
    pool: list[list[Judged]] = [[] for _ in pairs]
    for student in students:
        for begin in range(0, len(pairs), trainer.at_once):
            part = pairs[begin : begin + trainer.at_once]
            first = [trainer.first_weights(pair, student, seed) for pair in part]
            networks = trainer.networks(student, first)
            trainer.train(networks, part, TRAININGS[student], steps, 1000 * seed + begin)
            if student == students[0]:
                tests += trainer.probabilities(networks, part, [pair.test for pair in part])
            opinions = trainer.probabilities(networks, part, [pair.unlabeled for pair in part])
            features = trainer.features(networks, [pair.unlabeled for pair in part])
            for own, *judgement in zip(pool[begin:], opinions, features):
                own.append(Judged(*judgement))
    return tests, pool


def _rows(pairs: Sequence[Pair], tests: Sequence[Tensor], way: str, number: int) -> list[dict[str, Any]]:
    return [
        {"set": pair.source, "fold": pair.fold, "seed": pair.seed, "way": way, "round": number,
         "labels": len(pair.labeled), "test_balanced_accuracy": balanced(probabilities, pair.test_labels)}
        for pair, probabilities in zip(pairs, tests, strict=True)
    ]  # fmt: skip


if __name__ == "__main__":
    fire.Fire(simulate)
