"""A distillation term from outside the package: one file, and its name in a config."""

from __future__ import annotations

import importlib

import pytest

from tests.bundles.commands import train_here

pytestmark = pytest.mark.slow

OWN_TERM = '''
import torch
from dwskd_monai.training import DistillationTerm

calls = []


class FeatureAngle(DistillationTerm):
    """One minus the cosine of the angle between the students' mean features."""

    needs_features = True

    def __init__(self, temperature=None, scale=1.0):
        super().__init__()
        self.temperature = temperature
        self.scale = scale

    def forward(self, student, peer):
        cosine = torch.cosine_similarity(student.features.mean(0), peer.features.mean(0), dim=0)
        calls.append((self.temperature, self.scale, tuple(student.features.shape), peer.features.requires_grad))
        return self.scale * (1 - cosine)
'''


@pytest.mark.parametrize(
    ("override", "temperature", "scale"),
    [
        ({"distillation_term#_target_": "own_term.FeatureAngle"}, 2.0, 1.0),
        ({"distillation_term": {"_target_": "own_term.FeatureAngle", "scale": 0.3}}, None, 0.3),
    ],
    ids=["its name", "its name and arguments"],
)
def test_a_term_of_ones_own_is_trained_with(phantoms, tmp_path, monkeypatch, override, temperature, scale):
    (tmp_path / "own_term.py").write_text(OWN_TERM)
    monkeypatch.syspath_prepend(tmp_path)
    own_term = importlib.reload(importlib.import_module("own_term"))
    train_here(tmp_path, phantoms, **{"max_epochs": 1, "independent_epochs": 0, **override})
    assert own_term.calls
    for call in own_term.calls:
        assert call == (temperature, scale, call[2], False)
        assert call[2][1] == 32, "the width of the last stage"
    assert (tmp_path / "model.pt").exists()
