"""The examples in docstrings, run as they stand."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import dwskd_monai

PACKAGE = Path(dwskd_monai.__file__).parent
WITH_EXAMPLES = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text()]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=module_of)
def test_examples_give_what_they_show(path):
    results = doctest.testmod(import_module(module_of(path)), optionflags=OPTIONS)
    assert results.failed == 0
    assert results.attempted > 0


@pytest.mark.parametrize(
    "name",
    [
        "weight_selection.select_weights",
        "weight_selection.select_pair",
        "weight_selection.Rules",
        "weight_selection.Teacher",
        "training.DualStudentTrainer",
        "training.SelfDistillationLoss",
        "training.SoftenedKL",
        "training.EpochSchedule",
        "evaluation.Aggregation",
        "evaluation.StudyPredictions",
        "evaluation.StudyMetric",
        "evaluation.classification_metrics",
        "preprocessing.FitSlicesd",
        "preprocessing.WindowHounsfieldd",
    ],
)
def test_what_users_start_with_has_an_example(name):
    room, _, public = name.rpartition(".")
    documented = getattr(import_module(f"dwskd_monai.{room}"), public)
    assert ">>> " in documented.__doc__
