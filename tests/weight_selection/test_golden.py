"""What is taken from where, for each tiny pair and some rules, is exactly what the golden file says.

A change that is meant to take other elements writes the file anew: ``pytest tests/weight_selection/test_golden.py
--update-golden``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dwskd_monai.weight_selection import Rules, SelectionReport, select_pair
from tests.weight_selection.pairs import TINY, on_meta

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).with_name("golden_selections.json")
RULES: dict[str, tuple[Rules, bool]] = {
    "default": (Rules(), True),
    "not complementary": (Rules(), False),
    "uniform layers, random elements": (Rules(layers="uniform", elements="random", seed=3), True),
    "consecutive elements, rescaled": (Rules(elements="consecutive", offset=0.5, rescale=True), True),
    "important elements": (Rules(elements="importance"), True),
}


def filled(network: Callable[[], nn.Module]) -> nn.Module:
    """A network whose weights depend on nothing but their names and shapes, in values that add up without rounding."""
    made = network()
    for name, tensor in made.state_dict().items():
        if tensor.is_floating_point():
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
            tensor.copy_(torch.from_numpy(np.random.default_rng(seed).integers(-64, 64, tuple(tensor.shape)) / 32))
    return made


def digest(report: SelectionReport) -> str:
    """A digest of everything that says what a student took from where."""
    content = hashlib.sha256()
    for part in described(report):
        content.update(repr(part).encode() + b"\n")
    return content.hexdigest()[:16]


def described(report: SelectionReport) -> Iterator[object]:
    yield report.family, report.blocks, report.teacher_values
    for name, dimension in report.dimensions.items():
        yield name, dimension.teacher_size, dimension.student_size, dimension.unit, dimension.indices
    for tensor in report.tensors:
        taken = [None if part is None else part.tolist() for part in tensor.positions]
        yield tensor.name, tensor.source, tensor.shape, tensor.source_shape, tensor.steps, taken


@pytest.mark.parametrize("name", TINY)
def test_a_pair_takes_what_the_golden_file_says(name, request):
    got = {}
    for label, (rules, complementary) in RULES.items():
        make = filled if rules.elements == "importance" else on_meta
        teacher, main, auxiliary = (make(network) for network in (TINY[name].teacher, *[TINY[name].student] * 2))
        report = select_pair(teacher, main, auxiliary, rules, complementary=complementary)
        got[label] = {"main": digest(report.main), "auxiliary": digest(report.auxiliary)}
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(json.dumps(dict(sorted((golden | {name: got}).items())), indent=1) + "\n")
    else:
        assert got == golden[name], "other elements are taken; if they are meant to be: --update-golden"


def test_the_golden_file_has_no_pair_that_is_gone():
    assert set(json.loads(GOLDEN.read_text())) == set(TINY)
