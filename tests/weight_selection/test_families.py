"""Pairs as users have them, made without memory for their weights: each is followed, matched and planned in full."""

from __future__ import annotations

import pytest
import timm
import torch

from dwskd_monai.weight_selection import Rules, select_pair
from tests.conftest import REPOSITORY
from tests.weight_selection.pairs import MONAI_PUBLISHED, PUBLISHED, on_meta

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("teacher", "student"), PUBLISHED, ids=lambda name: name)
def test_a_published_pair_of_timm(teacher, student):
    large = on_meta(lambda: timm.create_model(teacher, num_classes=5))
    main, auxiliary = (on_meta(lambda: timm.create_model(student, num_classes=3)) for _ in range(2))
    report = select_pair(large, main, auxiliary)
    taken = [tensor for tensor in report.main.tensors if tensor.source is not None]
    assert len(taken) == len([name for name in main.state_dict() if not timm_classifier(main, name)])
    assert all(tensor.count() for tensor in taken)
    counted = sum(tensor.count() for tensor in taken) / report.main.teacher_values
    assert report.overlap <= report.main.coverage == pytest.approx(counted)
    assert report.main.coverage < 1
    for name, dimension in report.main.dimensions.items():
        assert len(set(dimension.indices)) == dimension.student_size <= dimension.teacher_size, name
        assert dimension.indices == tuple(sorted(dimension.indices)), name


def timm_classifier(network: torch.nn.Module, name: str) -> bool:
    classifier = network.default_cfg["classifier"]
    names = (classifier,) if isinstance(classifier, str) else classifier
    return name.rpartition(".")[0] in names


@pytest.mark.parametrize("name", MONAI_PUBLISHED)
def test_a_published_pair_of_monai(name):
    pair = MONAI_PUBLISHED[name]
    report = select_pair(on_meta(pair.teacher), on_meta(pair.student), on_meta(pair.student), Rules(layers="uniform"))
    new = [tensor.name for tensor in report.main.tensors if tensor.source is None]
    assert new in (["class_layers.out.weight", "class_layers.out.bias"], ["last_linear.weight", "last_linear.bias"],
                   ["_fc.weight", "_fc.bias"])  # fmt: skip
    assert report.overlap <= report.main.coverage < 1


def test_the_table_of_families_names_each_tested_pair():
    page = (REPOSITORY / "docs" / "weight_selection.md").read_text()
    for teacher, student in PUBLISHED:
        assert f"`{teacher}` → `{student}`" in page
    for name in MONAI_PUBLISHED:
        assert name.replace(", ", " → ", 1) in page, name
