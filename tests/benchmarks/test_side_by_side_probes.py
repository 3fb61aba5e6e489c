import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import side_by_side_probes
from side_by_side_images import Pair


def test_each_classifier_learns_from_features_and_label_spreading_from_those_without_labels_too(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 2
    features = labels[:, None] * 8.0 + generator.normal(size=(60, 5))
    rows = {name: list(range(begin, end)) for name, begin, end in (("l", 0, 20), ("u", 20, 40), ("v", 40, 50))}
    test = list(range(50, 60))
    pair = Pair(
        "set", 0, 0, 2, rows["l"], labels[:20].tolist(), rows["u"], labels[20:40].tolist(), rows["v"],
        labels[40:50].tolist(), test, labels[50:].tolist(),
    )  # fmt: skip
    fitted = []

    class Counting:
        def fit(self, features, labels):
            fitted.append((len(features), sorted({*labels.tolist()})))
            return self

        def predict_proba(self, features):
            return np.stack([features[:, 1] < 4, features[:, 1] >= 4], 1).astype(float)

    monkeypatch.setattr(side_by_side_probes, "prepared", lambda *args: (torch.zeros(60, 4, 4), [pair]))
    monkeypatch.setattr(side_by_side_probes, "embedded", lambda *args: features)
    monkeypatch.setattr(side_by_side_probes, "classifier_of", lambda method: Counting())
    side_by_side_probes.probes(str(tmp_path / "probes.csv"))
    assert fitted == [(20, [0, 1]), (20, [0, 1]), (40, [-1, 0, 1])]
    table = pd.read_csv(tmp_path / "probes.csv")
    assert table["method"].tolist() == list(side_by_side_probes.PROBES)
    assert (table["test_balanced_accuracy"] == 1.0).all()


def test_the_classifiers_are_those_of_compare():
    for method in side_by_side_probes.PROBES:
        classifier = side_by_side_probes.classifier_of(method)
        features, labels = np.repeat([[0.0, 1.0], [5.0, 5.0]], 8, 0), np.repeat([0, 1], 8)
        assert classifier.fit(features, labels).predict(features).tolist() == labels.tolist()
