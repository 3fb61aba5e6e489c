from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.semi_supervised import LabelSpreading
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


def test_label_spreading_learns_from_embeddings_without_labels_too():
    items = make_items()
    labeled = items[:2] + items[-2:]
    others = [{"image": item["image"]} for item in items[2:-2]]
    classifier = LabelSpreading(kernel="knn", n_neighbors=7)
    probe = fit_probe(nn.Flatten(), labeled, classifier, "cpu", batch_size=7, unlabeled=others)
    images = torch.stack([item["image"] for item in labeled + others]).flatten(1).numpy()
    labels = [item["label"] for item in labeled] + [-1] * len(others)
    expected = LabelSpreading(kernel="knn", n_neighbors=7).fit(images, labels)
    tensors = torch.stack([item["image"] for item in items])
    found = probe(tensors).softmax(1).numpy()
    np.testing.assert_allclose(found, expected.predict_proba(tensors.flatten(1).numpy()), atol=1e-5)
    assert found.argmax(1).tolist() == [item["label"] for item in items]


def test_an_image_that_no_label_reaches_may_be_of_any_class():
    far = [{"image": torch.full((1, 2, 2), 100.0) + index} for index in range(4)]
    probe = fit_probe(nn.Flatten(), make_items(4), LabelSpreading(kernel="knn", n_neighbors=2), "cpu", unlabeled=far)
    torch.testing.assert_close(probe(far[0]["image"][None]).exp(), torch.tensor([[0.5, 0.5]]))


def test_a_probability_of_zero_is_no_infinity():
    probe = Probe(nn.Flatten(), KNeighborsClassifier(1).fit(np.eye(4), [0, 1, 0, 1]))
    assert torch.isfinite(probe(torch.eye(4).reshape(4, 1, 2, 2))).all()
