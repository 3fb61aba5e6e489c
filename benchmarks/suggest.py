"""Whether studies that ``dwskd suggest`` chooses are worth more labels than random ones: accuracy against labels.

    python benchmarks/suggest.py --bundle bundles/chest_xray_classification --data DATA/chest_xray --out suggest.csv

All labels are known, and are given round by round. Each seed draws the first labeled studies, with which a training is
made. Then, for each way to choose, ``rounds`` times: choose ``count`` further studies, label them, train anew from the
selected weights, and measure on test images, which nothing is chosen by. Both ways begin with the same training. Other
options are settings of the training: --teacher_weights FILE --min_steps 1200.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.data.datalist import load_split
from dwskd_monai.files import GrowingCsv, read_json

Item = dict[str, str | int]
_COLUMNS = ("image", "label", "study", "patient")


def simulate(
    bundle: str,
    data: str,
    out: str,
    rounds: int = 4,
    count: int = 20,
    seeds: int = 10,
    start: int = 10,
    **settings: Any,
) -> None:
    """Write a row for each training: seed, way to choose, round, labels, and metrics of the test studies.

    Args:
        bundle: folder of the bundle; it is not changed.
        data: labeled images: a folder or a datalist. Test images are those that it names, or else a third of all.
        out: CSV file.
        rounds: how often further studies are labeled.
        count: how many are labeled in a round.
        seeds: how many runs.
        start: studies of each class that are labeled at the beginning.
        settings: of the training.
    """
    pool, test = divided(load_split(data, Bundle(bundle).class_names, "all"), data, bundle)
    rows = GrowingCsv(Path(out))
    with tempfile.TemporaryDirectory() as work, tqdm(total=seeds * (1 + 2 * rounds), unit="training") as bar:
        for seed in range(seeds):
            run = Run(bundle, Path(work), seed, test, settings)
            first = run.trained(first_labeled(pool, start, seed))
            for way in ("suggest", "random"):
                training = first
                for number in range(rounds + 1):
                    if number:
                        labeled = training.labeled + training.choose(way, rest(pool, training.labeled), count)
                        training = run.trained(labeled)
                    bar.update(number > 0 or way == "suggest")
                    rows.write(
                        {"seed": seed, "way": way, "round": number, "labels": len(training.labeled)} | training.metrics
                    )
    rows.finish()


def divided(items: Sequence[Item], data: str, bundle: str) -> tuple[list[Item], list[Item]]:
    """The studies that may be labeled, and the test studies, which are of other patients."""
    named = load_split(data, Bundle(bundle).class_names, "test", required=False)
    if not named:
        groups = [item.get("patient", item["study"]) for item in items]
        splitter = StratifiedGroupKFold(3, shuffle=True, random_state=0)
        _, places = next(iter(splitter.split(np.zeros(len(items)), [item["label"] for item in items], groups)))
        named = [items[place] for place in places]
    images = {item["image"] for item in named}
    return [item for item in items if item["image"] not in images], named


def first_labeled(pool: Sequence[Item], start: int, seed: int) -> list[Item]:
    """Random studies of each class."""
    order = np.random.default_rng(seed).permutation(len(pool))
    labels = sorted({int(item["label"]) for item in pool})
    of_class = {label: [pool[place] for place in order if pool[place]["label"] == label] for label in labels}
    return [item for label in labels for item in of_class[label][:start]]


def rest(pool: Sequence[Item], labeled: Sequence[Item]) -> list[Item]:
    images = {item["image"] for item in labeled}
    return [item for item in pool if item["image"] not in images]


class Run:
    """The trainings of one seed."""

    def __init__(self, bundle: str, work: Path, seed: int, test: Sequence[Item], settings: dict[str, Any]) -> None:
        self.bundle = bundle
        self.work = work
        self.seed = seed
        self.test = write_list(work / "test.csv", test)
        self.settings = settings
        self._count = 0

    def trained(self, labeled: list[Item]) -> Training:
        """A training with these labels."""
        self._count += 1
        return Training(self, labeled, self.work / f"{self.seed}_{self._count}")

    def dwskd(self, command: str, *words: str | Path, **options: Any) -> None:
        """Run a command; if it fails, what it said is shown."""
        options |= {"cache_dir": self.work / "cache"}
        given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        arguments = [sys.executable, "-m", "dwskd_monai", command, self.bundle, *map(str, words), *given]
        done = subprocess.run(
            arguments, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "120"}
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


class Training:
    """A training with the labels so far, and what it measures on the test studies."""

    def __init__(self, run: Run, labeled: list[Item], folder: Path) -> None:
        self.run = run
        self.labeled = labeled
        self.folder = folder
        self.datalist = write_list(folder / "labeled.csv", labeled)
        places = {"ckpt_dir": folder, "output_dir": folder / "eval"}
        run.dwskd("train", self.datalist, **places, seed=run.seed, **run.settings)
        run.dwskd("evaluate", run.test, split="all", **places)
        overall = read_json(folder / "eval" / "metrics.json")["study"]["overall"]
        self.metrics = {name: overall[name] for name in ("balanced_accuracy", "accuracy", "macro_auc")}

    def choose(self, way: str, unlabeled: Sequence[Item], count: int) -> list[Item]:
        """The studies that are labeled next."""
        if way == "random":
            return at_random(unlabeled, count, self.run.seed + len(self.labeled))
        source = write_list(self.folder / "unlabeled.csv", unlabeled, _COLUMNS[:1] + _COLUMNS[2:])
        out = self.folder / "suggestions"
        options = {"unlabeled_dir": source, "dataset_dir": self.datalist, "out": out, "ckpt_dir": self.folder}
        self.run.dwskd("suggest", **options, count=count, seed=self.run.seed)
        with (out / "suggestions.csv").open(newline="", encoding="utf-8") as file:
            chosen = {row["study"] for row in csv.DictReader(file)}
        return [item for item in unlabeled if item["study"] in chosen]


def at_random(unlabeled: Sequence[Item], count: int, seed: int) -> list[Item]:
    """One study of each of ``count`` random patients."""
    studies: dict[str | int, str | int] = {}
    for place in np.random.default_rng(seed).permutation(len(unlabeled)):
        item = unlabeled[place]
        studies.setdefault(item.get("patient", item["study"]), item["study"])
    chosen = list(studies.values())[:count]
    return [item for item in unlabeled if item["study"] in chosen]


def write_list(path: Path, items: Sequence[Item], columns: Sequence[str] = _COLUMNS) -> Path:
    """Items as a CSV datalist with absolute paths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for item in items:
            values = {name: item.get(name, "") for name in columns}
            writer.writerow(values | {"image": os.path.abspath(str(item["image"]))})
    return path


if __name__ == "__main__":
    fire.Fire(simulate)
