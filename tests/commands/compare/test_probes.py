from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from dwskd_monai.commands.compare.probes import Probe, fit_probe


def make_items(count: int = 40) -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    labels = [index % 2 for index in range(count)]
    return [{"image": torch.randn(1, 2, 2, generator=generator) + 9 * label, "label": label} for label in labels]


@pytest.mark.parametrize("classifier", [LogisticRegression(), KNeighborsClassifier(5)])
def test_a_probe_predicts_what_scikit_learn_does_and_leaves_the_network_as_it_is(classifier):
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Dropout(0.5))
    before = [parameter.clone() for parameter in backbone.parameters()]
    items = make_items()
    probe = fit_probe(backbone, items, classifier, "cpu", batch_size=7)
    images = torch.stack([item["image"] for item in items])
    embedded = backbone.eval()(images).detach().numpy()
    expected = classifier.__class__(**classifier.get_params()).fit(embedded, [item["label"] for item in items])
    np.testing.assert_allclose(probe(images).softmax(1).numpy(), expected.predict_proba(embedded), atol=1e-5)
    assert probe(images).argmax(1).tolist() == [item["label"] for item in items]
    assert all(torch.equal(now, then) for now, then in zip(backbone.parameters(), before))


def test_a_probability_of_zero_is_no_infinity():
    probe = Probe(nn.Flatten(), KNeighborsClassifier(1).fit(np.eye(4), [0, 1, 0, 1]))
    assert torch.isfinite(probe(torch.eye(4).reshape(4, 1, 2, 2))).all()
