"""How many wrong labels ``dwskd suggest --audit`` finds: some labels of a labeled folder are flipped on purpose.

    python benchmarks/audit.py --bundle bundles/chest_xray_classification --data DATA/chest_xray/train --out audit.csv

A share of the studies gets another class, drawn at random. A bundle is trained for each fold on these labels, all of
them audit all studies, and the list is compared with the labels that were flipped. Labels that were wrong before count
as found by mistake. Other options are settings of the training: --teacher_weights FILE --min_steps 600.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire
import numpy as np
from suggest import write_list
from tqdm import tqdm

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.data.datalist import load_split
from dwskd_monai.files import GrowingCsv, read_json

Item = dict[str, str | int]


def find_flipped(
    bundle: str,
    data: str,
    out: str,
    share: float = 0.05,
    folds: int = 3,
    seeds: int = 1,
    most: int | None = None,
    **settings: Any,
) -> None:
    """Write a row for each seed: how many labels were flipped, listed, and both.

    Args:
        bundle: folder of the bundle; it is not changed.
        data: labeled images: a folder or a datalist.
        out: CSV file.
        share: of the labels that are flipped.
        folds: how many bundles are trained.
        seeds: how many runs.
        most: how many studies are used, drawn at random; None: all.
        settings: of the training.
    """
    names = Bundle(bundle).class_names
    items = load_split(data, names, "all")
    rows = GrowingCsv(Path(out))
    for seed in tqdm(range(seeds), unit="run"):
        random = np.random.default_rng(seed)
        chosen = [items[place] for place in random.permutation(len(items))[:most]]
        flipped, right = flip(chosen, len(names), share, random)
        with tempfile.TemporaryDirectory() as work:
            listed, audited, predicted = audit(bundle, Path(work), flipped, folds, seed, settings)
        found = [item for item in listed if item in right]
        row = {"seed": seed, "studies": len(flipped), "audited": audited, "flipped": len(right)}
        row |= {"listed": len(listed), "found": len(found), "predicted_share": predicted}
        first = listed[: len(right)]
        rows.write(row | {"found_among_first": sum(item in right for item in first)})
        print(row)
    rows.finish()


def flip(
    items: Sequence[Item], classes: int, share: float, random: np.random.Generator
) -> tuple[list[Item], dict[str, int]]:
    """Items of which some have another label, and the right labels of these by the paths that the audit lists."""
    places = random.choice(len(items), round(share * len(items)), replace=False)
    flipped = [dict(item) for item in items]
    right = {}
    for place in places:
        label = int(items[place]["label"])
        flipped[place]["label"] = int((label + random.integers(1, classes)) % classes)
        right[os.path.abspath(str(items[place]["image"]))] = label
    return flipped, right


def audit(
    bundle: str, work: Path, items: Sequence[Item], folds: int, seed: int, settings: dict[str, Any]
) -> tuple[list[str], int, float]:
    """Images that are listed, the most doubtful first; how many studies were audited; how many labels are predicted."""
    datalist = write_list(work / "labeled.csv", items)
    copies = []
    for fold in range(folds):
        copy = work / f"fold_{fold}"
        shutil.copytree(Path(bundle) / "configs", copy / "configs")
        options = {"dataset_dir": datalist, "folds": folds, "fold": fold, "seed": seed, "cache_dir": work / "cache"}
        _dwskd("train", copy, **options, **settings)
        copies.append(str(copy))
    _dwskd("suggest", ",".join(copies), "--audit", dataset_dir=datalist, out=work / "audit", cache_dir=work / "cache")
    with (work / "audit" / "audit.csv").open(newline="", encoding="utf-8") as file:
        listed = [row["image"] for row in csv.DictReader(file)]
    content = read_json(work / "audit" / "audit.json")
    return listed, len(content["audited"]), content["predicted_share"]


def _dwskd(command: str, *words: str | Path, **options: Any) -> None:
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    arguments = [sys.executable, "-m", "dwskd_monai", command, *map(str, words), *given]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


if __name__ == "__main__":
    fire.Fire(find_flipped)
