"""Rivals of ``side_by_side.py`` that train no network: classifiers on the frozen teacher's features, of all pairs.

    python benchmarks/side_by_side_probes.py --out results/side_by_side_probes.csv

The classifiers are those of the package's ``methods.yaml``; label spreading gets the images without labels too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fire
import numpy as np
import pandas as pd
import torch
from monai.bundle import ConfigParser
from side_by_side import balanced, prepared
from torch import Tensor
from tqdm import tqdm

import dwskd_monai.commands.compare
from dwskd_monai.training import create_teacher

METHODS_FILE = Path(dwskd_monai.commands.compare.__file__).parent / "methods.yaml"
PROBES = ("probe_linear", "probe_knn", "label_spreading")


def probes(
    out: str, data: str = "data", few: str = "results/few", teacher_weights: str = "results/imagenet.safetensors",
    seeds: int = 6, images: str | None = None,
) -> None:  # fmt: skip
    """Write a row for each pair and classifier.

    Args:
        out: CSV file.
        data, few, teacher_weights, seeds, images: as of ``side_by_side.py``.
    """
    pixels, pairs = prepared(images, data, few, seeds)
    pairs = [pair for pair in pairs if pair.seed < seeds]  # the file may have more
    features = embedded(pixels, teacher_weights)
    rows = []
    for pair in tqdm(pairs, desc="pairs"):
        seen = np.concatenate([pair.labeled, pair.unlabeled]).astype(int)
        labels = np.concatenate([pair.labels, np.full(len(pair.unlabeled), -1)]).astype(int)
        for method in PROBES:
            count = len(seen) if method == "label_spreading" else len(pair.labeled)
            classifier = classifier_of(method).fit(features[seen[:count]], labels[:count])
            validation, test = (
                balanced(torch.from_numpy(classifier.predict_proba(features[part])), own)
                for part, own in ((pair.validation, pair.validation_labels), (pair.test, pair.test_labels))
            )
            row = {"method": method, "steps": 0, "set": pair.source, "fold": pair.fold, "seed": pair.seed}
            rows.append(row | {"balanced_accuracy": validation, "test_balanced_accuracy": test})
    table = pd.DataFrame(rows)
    table.to_csv(out, index=False, float_format="%.6g")
    print(table.groupby(["method", "set"])["test_balanced_accuracy"].agg(["mean", "std", "count"]).to_string())


@torch.no_grad()
def embedded(pixels: Tensor, teacher_weights: str) -> np.ndarray:
    """The teacher's features ``(N, D)`` of images ``(N, H, W)`` of 8 bits."""
    teacher = create_teacher("tf_efficientnet_lite2", teacher_weights, in_chans=1).eval()
    parts = [teacher(part[:, None] / 127.5 - 1) for part in tqdm(pixels.split(64), desc="features")]
    return torch.cat(parts).numpy()


def classifier_of(method: str) -> Any:
    """That of a method of ``methods.yaml``, not fitted."""
    methods = ConfigParser.load_config_file(METHODS_FILE)
    parser = ConfigParser({"classifier": methods[method]["overrides"]["network"]["classifier"]})
    return parser.get_parsed_content("classifier")


if __name__ == "__main__":
    fire.Fire(probes)
