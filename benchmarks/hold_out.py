"""Divide a folder of labeled images once more: a third is held out as test images that nothing is chosen by.

    python benchmarks/hold_out.py --labeled DATA/chest_xray/train --out results/chest_xray_split

Writes ``train.csv`` and ``test.csv``, datalists with absolute paths, stratified by class.
"""

from __future__ import annotations

import csv
from pathlib import Path

import fire
from sklearn.model_selection import train_test_split


def hold_out(labeled: str, out: str, share: float = 1 / 3, seed: int = 0) -> None:
    """Write the two datalists.

    Args:
        labeled: folder with one folder of images per class.
        out: folder of the datalists.
        share: of the images that are held out.
        seed: of the division.
    """
    images = sorted(path.resolve() for path in Path(labeled).glob("*/*") if path.is_file())
    parts = train_test_split(images, test_size=share, random_state=seed, stratify=[path.parent.name for path in images])
    Path(out).mkdir(parents=True, exist_ok=True)
    for name, part in zip(("train", "test"), parts):
        with (Path(out) / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "label"])
            writer.writerows([path, path.parent.name] for path in sorted(part))


if __name__ == "__main__":
    fire.Fire(hold_out)
