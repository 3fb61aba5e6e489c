"""What images without labels bring: students of many seeds, folds and sets, trained side by side on one GPU.

    python benchmarks/side_by_side.py --out results/side_by_side

On a CPU, with one process for each core: ``--at_once 1 --sets brain_mri --out results/side_by_side/brain_mri``.
Preprocessing, splits and weight selection are the package's (``side_by_side_images.py``); networks of all pairs train
as one (``side_by_side_training.py``). ``TRAININGS`` says what is trained, ``METHODS`` what is made of it. Each number
is of the last step: nothing is chosen by validation or test images, but for the better of two starts, which validation
images choose. Writes ``runs.csv`` after each training; a training whose file is there is not repeated.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fire
import pandas as pd
import torch
from side_by_side_images import Pair, read_pairs, sources, with_labels
from side_by_side_training import Kept, SideBySide, Training, with_class_shares
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor
from tqdm import tqdm

SETS = ("brain_mri", "chest_xray", "lung_ct", "dermoscopy")
FOUR = ("main", "auxiliary", "third", "fourth")
TRAININGS = {
    "main": Training("main"),
    "auxiliary": Training("auxiliary"),
    "soft_labels": Training("main", labelers=("main", "auxiliary")),
    "selection": Training("main", 3.0, part=False),
    "first_start": Training("main", 1.5, part=False),
    "second_start": Training("auxiliary", 1.5, part=False),
    "own_soft_labels": Training("main", 1.5, labelers=("first_start",)),
    "teacher": Training("teacher", 1.0, part=False),
    "wide": Training("wide", 1.5, part=False),
    "twin": Training("twin"),
    "soft_labels_same": Training("main", labelers=("main", "twin")),
    "third": Training("third"),
    "fourth": Training("fourth"),
    "soft_labels_of_four": Training("main", labelers=FOUR),
    "votes_of_four": Training("main", labelers=FOUR, vote=True),
    "auxiliary_again": Training("auxiliary", labelers=("main", "auxiliary")),
    "two_rounds": Training("main", labelers=("soft_labels", "auxiliary_again")),
    "recovered": Training("main", before="teacher_states", before_length=1.0),
    "teacher_soft_labels": Training("main", labelers=("teacher",)),
    "strong_view": Training("main", labelers=("main", "auxiliary"), strong=True),
    "falling_weight": Training("main", labelers=("main", "auxiliary"), falling=True),
    "fixmatch": Training("main", rival="fixmatch"),
    "mean_teacher": Training("main", rival="mean_teacher"),
    "own_views": Training("main", before="own_views", before_length=1.0),
    "truncated": Training("truncated"),
    "soft_labels_of_all": Training("main", labelers=("main", "auxiliary", "teacher")),
    "soft_labels_with_teacher": Training("main", labelers=("main", "teacher")),
    "teacher_soft_labels_longer": Training("main", 3.0, labelers=("teacher",), part=False),
    "teacher_soft_labels_strong_view": Training("main", labelers=("teacher",), strong=True),
    "refitted": Training("main", before="refit"),
    "refitted_slowly": Training("main", before="refit", learning_rate=0.0005),
    "teacher_again": Training("teacher", labelers=("teacher",)),
    "teacher_two_rounds": Training("main", labelers=("teacher_again",)),
    "tuned_start": Training("main", labelers=("teacher_again",), tuned="teacher_again"),
    "teacher_slowly": Training("teacher", part=False, learning_rate=0.0008),
    "teacher_slowly_soft_labels": Training("main", labelers=("teacher_slowly",)),
    "teacher_soft_labels_unmatched": Training("main", labelers=("teacher",), matched=False),
    "teacher_soft_labels_recovered": Training(
        "main", labelers=("teacher",), before="teacher_states", before_length=1.0
    ),
    "teacher_soft_labels_of_none": Training("main", labelers=("teacher",), share=0.0),
    "teacher_soft_labels_of_quarter": Training("main", labelers=("teacher",), share=0.25),
}


@dataclass(frozen=True)
class Method:
    """What is deployed: the mean of the networks' probabilities, or the better of them by validation images."""

    trainings: tuple[str, ...]
    better: bool = False


METHODS = {name: Method((name,)) for name in TRAININGS} | {
    "both": Method(("main", "auxiliary")),
    "both_longer": Method(("first_start", "second_start")),
    "two_starts": Method(("first_start", "second_start"), better=True),
    "twins": Method(("main", "twin")),
    "three": Method(FOUR[:3]),
    "four": Method(FOUR),
}


def side_by_side(
    out: str, data: str = "data", few: str = "results/few", teacher_weights: str = "results/imagenet.safetensors",
    seeds: int = 6, first_seed: int = 0, steps: int = 1000, trainings: Sequence[str] = tuple(TRAININGS),
    at_once: int = 48, sets: str | Sequence[str] = SETS, labels_per_class: int | None = None,
    images: str | None = None, minutes: float = 1e6,
) -> None:  # fmt: skip
    """Train and measure.

    Args:
        out: folder of ``runs.csv``, and of one file for each training.
        data: folder of the images.
        few: folder of the datalists that ``hold_out.py`` wrote; those of dermoscopy are made there.
        teacher_weights: that ``imagenet_weights.py`` wrote.
        seeds: of each set; each with two folds.
        first_seed: the first of them.
        steps: of each student before the images are labeled, and of main after its restart.
        trainings: those of ``TRAININGS`` that are made, in this order.
        at_once: most networks that train as one; those of large networks are a quarter.
        sets: those that are trained on.
        labels_per_class: how many images of each class are labeled; by default those of ``few``.
        images: file of the preprocessed images and the splits: read if it is there, else written. For a machine that
            has a GPU and no images.
        minutes: no training is begun after them.
    """
    begin = time.monotonic()
    pixels, pairs = prepared(images, data, few, first_seed + seeds)
    pairs = chosen_pairs(pairs, range(first_seed, first_seed + seeds), [sets] if isinstance(sets, str) else sets)
    if labels_per_class is not None:
        pairs = [with_labels(pair, labels_per_class) for pair in pairs]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainer = SideBySide(pixels.to(device), pairs, teacher_weights, at_once)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for name in tqdm(trainings, desc="trainings"):
        file = folder / f"{name}.pt"
        if not file.is_file() and time.monotonic() - begin < 60 * minutes:
            torch.save(trained(trainer, name, steps, folder), file)
            table = pd.DataFrame(measured(pairs, folder, steps))
            table.to_csv(folder / "runs.csv", index=False, float_format="%.6g")
            tqdm.write(f"{name}: {time.monotonic() - begin:.0f} s")
    print(
        table.groupby(["method", "steps", "set"])[["test_balanced_accuracy"]].agg(["mean", "std", "count"]).to_string()
    )


def chosen_pairs(pairs: Sequence[Pair], seeds: Sequence[int], sets: Sequence[str]) -> list[Pair]:
    """Those of the seeds and sets.

    Raises:
        ValueError: if the images were prepared for fewer.
    """
    chosen = [pair for pair in pairs if pair.seed in seeds and pair.source in sets]
    missing = {(name, seed) for name in sets for seed in seeds} - {(pair.source, pair.seed) for pair in chosen}
    if missing:
        raise ValueError(f"there are no images of {sorted(missing)}; prepare them again, in another file of --images")
    return chosen


def trained(trainer: SideBySide, name: str, steps: int, folder: Path) -> dict[str, Any]:
    """Probabilities of one training's networks: of validation and test images, and of the images that they label."""
    training = TRAININGS[name]
    soft_labels = None
    if training.labelers:
        of_labelers = [read(folder / f"{labeler}.pt", trainer.pairs)["opinions"] for labeler in training.labelers]
        soft_labels = [_together(each, training.vote) for each in zip(*of_labelers)]
        if training.matched:
            soft_labels = [with_class_shares(each, pair) for each, pair in zip(soft_labels, trainer.pairs)]
    made = trainer.run(
        training,
        steps,
        seed=list(TRAININGS).index(name),
        soft_labels=soft_labels,
        tuned=read(folder / f"{training.tuned}.pt", trainer.pairs)["states"] if training.tuned else None,
        keep=Kept(
            opinions=any(name in other.labelers for other in TRAININGS.values()),
            states=any(name == other.tuned for other in TRAININGS.values()),
        ),
    )
    return vars(made) | {"soft_labels": soft_labels or [], "pairs": [_name(pair) for pair in trainer.pairs]}


def read(file: Path, pairs: Sequence[Pair]) -> dict[str, Any]:
    """What :func:`trained` returned.

    Raises:
        ValueError: if it was made of other pairs.
    """
    made: dict[str, Any] = torch.load(file)
    if made["pairs"] != [_name(pair) for pair in pairs]:
        raise ValueError(f"{file}: made of other sets, folds, seeds or labels; give another --out")
    return made


def _name(pair: Pair) -> tuple[str, int, int, int]:
    return pair.source, pair.fold, pair.seed, len(pair.labeled)


def measured(pairs: Sequence[Pair], folder: Path, steps: int) -> list[dict[str, Any]]:
    """A row for each pair and each method whose trainings are there."""
    files = {name: folder / f"{name}.pt" for name in TRAININGS}
    done = {name: read(file, pairs) for name, file in files.items() if file.is_file()}
    rows = []
    for method, parts in METHODS.items():
        if all(name in done for name in parts.trainings):
            for index, pair in enumerate(pairs):
                networks = [done[name]["predictions"][index] for name in parts.trainings]
                row: dict[str, Any] = {"method": method, "steps": _steps(parts.trainings, steps)}
                row |= {"set": pair.source, "fold": pair.fold, "seed": pair.seed, "labels": len(pair.labeled)}
                row |= _scores(_deployed(networks, pair, parts.better), pair)
                row |= _of_labelers(networks, pair) if len(networks) == 2 else {}
                known = slice(len(pair.labeled), len(pair.labeled) + len(pair.truth))
                for soft_labels in done[parts.trainings[0]]["soft_labels"][index : index + 1]:
                    row["accuracy_of_soft_labels"] = balanced(soft_labels[known], pair.truth)
                rows.append(row)
    return rows


def prepared(file: str | None, data: str, few: str, seeds: int) -> tuple[Tensor, list[Pair]]:
    if file is not None and Path(file).is_file():
        content = torch.load(file)
        return content["images"], [Pair(**pair) for pair in content["pairs"]]
    images, pairs = read_pairs(sources(Path(data), Path(few)), seeds)
    if file is not None:
        torch.save({"images": images, "pairs": [asdict(pair) for pair in pairs]}, file)
    return images, pairs


def _together(opinions: Sequence[Tensor], vote: bool) -> Tensor:
    votes = [torch.nn.functional.one_hot(each.argmax(1), each.shape[1]).float() if vote else each for each in opinions]
    return torch.stack(votes).mean(0)


def _steps(trainings: Sequence[str], steps: int) -> int:
    """Of all trainings that are needed, each counted once."""
    needed: dict[str, float] = {}
    pending = list(trainings)
    while pending:
        name = pending.pop()
        needed[name] = TRAININGS[name].length + TRAININGS[name].before_length
        pending += TRAININGS[name].needs
    return int(sum(needed.values()) * steps)


def _deployed(networks: Sequence[Tensor], pair: Pair, better: bool) -> Tensor:
    if better:
        return max(networks, key=lambda each: balanced(each[: len(pair.validation)], pair.validation_labels))
    return torch.stack(list(networks)).mean(0)


def _scores(probabilities: Tensor, pair: Pair) -> Mapping[str, float]:
    split = len(pair.validation)
    return {
        "balanced_accuracy": balanced(probabilities[:split], pair.validation_labels),
        "test_balanced_accuracy": balanced(probabilities[split:], pair.test_labels),
    }


def _of_labelers(networks: Sequence[Tensor], pair: Pair) -> Mapping[str, float]:
    """How alike two networks are on test images: the share of the same answers, and the correlation of their errors."""
    one, other = (network[len(pair.validation) :].argmax(1) for network in networks)
    errors = torch.stack([answers != torch.tensor(pair.test_labels) for answers in (one, other)]).float()
    correlation = torch.corrcoef(errors)[0, 1]
    return {"agreement": float((one == other).float().mean()), "correlation_of_errors": float(correlation)}


def balanced(probabilities: Tensor, labels: Sequence[int]) -> float:
    return float(balanced_accuracy_score(labels, probabilities.argmax(1)))


if __name__ == "__main__":
    fire.Fire(side_by_side)
