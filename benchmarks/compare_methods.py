"""Validation metrics of the method and its baselines, on one labelled folder, through the bundle's own configs.

    python benchmarks/compare_methods.py --dataset_dir DIR --teacher_weights teacher.pt --out results/chest_xray

Methods: ``scratch`` (the student from random initialisation), ``selection`` (weight selection alone), ``ema`` and
``mutual`` (DWS-SKD), ``teacher`` (the large model fine-tuned by train_teacher.yaml). For a seed, all methods have the
same validation fold, training images, order and epochs. The best epoch is chosen on the validation images that the
metrics are then taken on, for every method alike, so the figures are for comparison and not a test result.

Each run is a folder below ``out``; a run that has its metrics.json is not repeated. ``results.csv`` has a row per
run, ``summary.md`` mean and standard deviation over the seeds, and paired differences to ``selection``.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire
import monai.bundle
import numpy as np
import timm
import torch

METRICS = ("accuracy", "balanced_accuracy", "macro_auc")
METHODS: dict[str, dict[str, Any]] = {
    "scratch": {"auxiliary": "none", "first_weights#_disabled_": True},
    "selection": {"auxiliary": "none"},
    "ema": {"auxiliary": "ema"},
    "mutual": {"auxiliary": "mutual"},
    "teacher": {},
}


def run_cell(method: str, folder: Path, bundle: Path, overrides: dict[str, Any]) -> None:
    """Train by one method and evaluate on the validation images; leaves ``folder/metrics.json``."""
    names = ["train.yaml"] + (["train_teacher.yaml"] if method == "teacher" else [])
    settings = {**overrides, **METHODS[method], "ckpt_dir": str(folder), "output_dir": str(folder)}
    started = time.perf_counter()
    training = [str(bundle / "configs" / name) for name in names]
    monai.bundle.run(run_id="run", config_file=training, **settings)
    seconds = time.perf_counter() - started
    evaluation = [*training, str(bundle / "configs" / "evaluate.yaml")]
    monai.bundle.run(run_id="run", config_file=evaluation, split="validation", **settings)
    (folder / "seconds.json").write_text(json.dumps({"training_seconds": seconds}))
    for state in folder.glob("*.pt"):
        state.unlink()  # a grid of networks fills a disk; the metrics are what is wanted


def collect(out: Path) -> list[dict[str, Any]]:
    """One row per finished run below ``out``."""
    rows = []
    for path in sorted(out.glob("*/*/*/seconds.json")):
        method, fraction, seed = path.parent.parts[-3:]
        overall = json.loads((path.parent / "metrics.json").read_text())["study"]["overall"]
        row = {"method": method, "fraction": float(fraction), "seed": int(seed)}
        rows.append(row | {name: overall[name] for name in METRICS} | json.loads(path.read_text()))
    return rows


def summarise(rows: Sequence[dict[str, Any]], baseline: str) -> str:
    """Markdown table: mean ± standard deviation over seeds, and the paired difference to the baseline."""
    lines = [
        "| fraction | method | runs | " + " | ".join(METRICS) + f" | Δ balanced accuracy to {baseline} | seconds |",
        "|---|---|---|" + "---|" * (len(METRICS) + 2),
    ]
    for fraction in sorted({row["fraction"] for row in rows}, reverse=True):
        here = [row for row in rows if row["fraction"] == fraction]
        reference = {row["seed"]: row["balanced_accuracy"] for row in here if row["method"] == baseline}
        for method in METHODS:
            runs = [row for row in here if row["method"] == method]
            if not runs:
                continue
            cells = [_mean_and_spread([run[name] for run in runs]) for name in METRICS]
            paired = [run["balanced_accuracy"] - reference[run["seed"]] for run in runs if run["seed"] in reference]
            difference = "" if method == baseline or not paired else _mean_and_spread(paired, "+.3f")
            seconds = f"{np.mean([run['training_seconds'] for run in runs]):.0f}"
            lines.append(
                f"| {fraction:g} | {method} | {len(runs)} | " + " | ".join(cells) + f" | {difference} | {seconds} |"
            )
    return "\n".join(lines) + "\n"


def _mean_and_spread(values: Sequence[float], form: str = ".3f") -> str:
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):{form}}{spread}"


def compare(
    dataset_dir: str,
    teacher_weights: str,
    out: str,
    bundle: str = "bundles/chest_xray_classification",
    methods: Sequence[str] = tuple(METHODS),
    fractions: Sequence[float] = (1.0, 0.1),
    seeds: Sequence[int] = (0, 1, 2),
    baseline: str = "selection",
    **overrides: Any,
) -> None:
    """Run what is missing of methods x fractions x seeds, and write ``results.csv`` and ``summary.md``.

    Args:
        dataset_dir: labelled images, as for training.
        teacher_weights: one checkpoint of the teacher for all methods.
        out: folder of the results.
        bundle: whose configs are run.
        methods: among scratch, selection, ema, mutual, teacher.
        fractions: shares of the training images.
        seeds: each gives another validation fold, initialisation and order.
        baseline: the method that the paired differences are to.
        overrides: keys of train.yaml; ``NAME@FRACTION`` for one fraction alone.
    """
    unknown = set(methods) - set(METHODS)
    if unknown:
        raise ValueError(f"methods must be among {', '.join(METHODS)}; got {', '.join(sorted(unknown))}")
    folder = Path(out).resolve()
    for seed in seeds:
        for fraction in fractions:
            common = {key: value for key, value in overrides.items() if "@" not in key}
            special = {
                key.split("@")[0]: value
                for key, value in overrides.items()
                if "@" in key and float(key.split("@")[1]) == fraction
            }
            for method in methods:
                cell = folder / method / f"{fraction:g}" / str(seed)
                if (cell / "seconds.json").exists():
                    continue
                cell.mkdir(parents=True, exist_ok=True)
                settings = common | special | {"dataset_dir": dataset_dir, "teacher_weights": teacher_weights}
                run_cell(method, cell, Path(bundle), settings | {"seed": seed, "train_fraction": fraction})
                rows = collect(folder)
                with (folder / "results.csv").open("w", newline="") as file:
                    writer = csv.DictWriter(file, list(rows[0]))
                    writer.writeheader()
                    writer.writerows(rows)
                versions = f"torch {torch.__version__}, timm {timm.__version__}, monai {monai.__version__}"
                (folder / "summary.md").write_text(summarise(rows, baseline) + f"\n{versions}\n")
    print(summarise(collect(folder), baseline))


if __name__ == "__main__":
    fire.Fire(compare)
